"""Refused objects and their valid twins for the rules about references: names, and fields that exclude each other."""

from tests.integration.crds.objects import PUBLIC_KEY, Json, template_case

OPEN = ["0.0.0.0/0"]
SECRET_KEY: Json = {"name": "s", "key": "k"}
LITERAL: Json = {"name": "A", "value": "v"}


def env(**fields: object) -> Json:
    return {"env": [{"name": "A", **fields}]}


def from_key(kind: str, **fields: object) -> Json:
    return env(valueFrom={kind: {**SECRET_KEY, **fields}})


def env_from(**fields: object) -> Json:
    return {"envFrom": [fields]}


def ssh(**fields: object) -> Json:
    return {"ssh": fields, "allowedCIDRs": OPEN}


def volumes(*changes: Json) -> Json:
    return {
        "volumes": [{"image": "team/data", "mountPath": f"/data/{i}", **change} for i, change in enumerate(changes)]
    }


SECRET = "not a Secret name: use the metadata.name"
CONFIG_MAP = "not a ConfigMap name: use the metadata.name"
KEY = "not a key of a Secret or ConfigMap"

REFERENCE_CASES = [
    template_case(
        "env[0].valueFrom",
        "value and valueFrom exclude each other",
        env(value="v", valueFrom={"secretKeyRef": SECRET_KEY}),
        env(valueFrom={"secretKeyRef": SECRET_KEY}),
    ),
    template_case("env[0].value", "set value (it may be empty) or valueFrom", env(), env(value="")),
    template_case(
        "env[0].valueFrom.configMapKeyRef",
        "secretKeyRef and configMapKeyRef exclude each other",
        env(valueFrom={"secretKeyRef": SECRET_KEY, "configMapKeyRef": SECRET_KEY}),
        env(valueFrom={"configMapKeyRef": {**SECRET_KEY, "optional": True}}),
    ),
    template_case(
        "env[0].valueFrom.secretKeyRef",
        "set secretKeyRef or configMapKeyRef",
        env(valueFrom={}),
        env(valueFrom={"secretKeyRef": {**SECRET_KEY, "optional": True}}),
    ),
    template_case(
        "env[0].valueFrom.secretKeyRef.name",
        SECRET,
        from_key("secretKeyRef", name="other/s"),
        from_key("secretKeyRef", name="other.s"),
    ),
    template_case(
        "env[0].valueFrom.secretKeyRef.key",
        KEY,
        from_key("secretKeyRef", key="a/b"),
        from_key("secretKeyRef", key="A_b.c-d"),
    ),
    template_case(
        "env[0].valueFrom.configMapKeyRef.name",
        CONFIG_MAP,
        from_key("configMapKeyRef", name="Upper"),
        from_key("configMapKeyRef", name="upper"),
    ),
    template_case(
        "env[0].valueFrom.configMapKeyRef.key",
        KEY,
        from_key("configMapKeyRef", key="a b"),
        from_key("configMapKeyRef", key="a.b"),
    ),
    template_case(
        "envFrom[0].configMapRef",
        "secretRef and configMapRef exclude each other",
        env_from(secretRef={"name": "s"}, configMapRef={"name": "c"}),
        env_from(secretRef={"name": "s"}, prefix="DB_"),
    ),
    template_case(
        "envFrom[0].secretRef",
        "set secretRef or configMapRef",
        env_from(prefix="DB_"),
        env_from(configMapRef={"name": "c", "optional": True}),
    ),
    template_case(
        "envFrom[0].prefix",
        "not the beginning of a variable name",
        env_from(secretRef={"name": "s"}, prefix="1_"),
        env_from(secretRef={"name": "s"}, prefix="_1"),
    ),
    template_case(
        "envFrom[0].secretRef.name", SECRET, env_from(secretRef={"name": "A"}), env_from(secretRef={"name": "a"})
    ),
    template_case(
        "envFrom[0].configMapRef.name",
        CONFIG_MAP,
        env_from(configMapRef={"name": "a_b"}),
        env_from(configMapRef={"name": "a-b"}),
    ),
    template_case(
        "ssh.publicKeySecretRef",
        "publicKey and publicKeySecretRef exclude each other",
        ssh(publicKey=PUBLIC_KEY, publicKeySecretRef={"name": "s"}),
        ssh(publicKeySecretRef={"name": "s"}),
    ),
    template_case(
        "ssh.publicKey",
        "set publicKey or publicKeySecretRef",
        ssh(user="duser"),
        ssh(publicKeySecretRef={"name": "s", "key": "id_ed25519.pub"}),
    ),
    template_case(
        "ssh.publicKeySecretRef.name",
        SECRET,
        ssh(publicKeySecretRef={"name": "S"}),
        ssh(publicKeySecretRef={"name": "s"}),
    ),
    template_case(
        "ssh.publicKeySecretRef.key",
        KEY,
        ssh(publicKeySecretRef={"name": "s", "key": "ssh-rsa AAAA"}),
        ssh(publicKeySecretRef={"name": "s", "key": "ssh-rsa"}),
    ),
    template_case(
        "imagePullSecretRef.name", SECRET, {"imagePullSecretRef": {"name": "S"}}, {"imagePullSecretRef": {"name": "s"}}
    ),
    template_case("volumes", "two volumes have the same mountPath", volumes({"mountPath": "/a"}, {"mountPath": "/a"}),
                  volumes({}, {})),
    template_case("volumes[0].mountPath", "write it from the root", volumes({"mountPath": "data"}),
                  volumes({"mountPath": "/data/v1.2"})),
    template_case("volumes[0].mountPath", "write it from the root", volumes({"mountPath": "/"}),
                  volumes({"mountPath": "/a"})),
    template_case("volumes[0].registry", "without https:// and path", volumes({"registry": "https://r.example.com"}),
                  volumes({"registry": "r.example.com:5000"})),
    template_case("volumes[0].pullSecretRef.name", SECRET, volumes({"pullSecretRef": {"name": "S"}}),
                  volumes({"pullSecretRef": {"name": "s"}})),
    template_case("volumes[0].image", "move what follows the colon to the volume's tag",
                  volumes({"image": "team/data:1"}), volumes({"image": "team/data", "tag": "1"})),
    template_case("volumes[0].image", "remove it and set the volume's tag",
                  volumes({"image": "team/data@sha256:0123abcd"}), volumes({"image": "r.example.com:5000/team/data"})),
    template_case("volumes[0].image", "not an image name: write it like", volumes({"image": "-"}), volumes({})),
    template_case("volumes[0].tag", "not a tag: use letters", volumes({"tag": ".1"}), volumes({"tag": "1."})),
]  # fmt: skip
