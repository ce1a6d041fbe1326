"""One refused object and its valid twin for each rule that looks at one object alone."""

from tests.integration.crds.objects import PUBLIC_KEY, Case, Json, account, adopting, job, shared_account, template_case
from tests.integration.crds.reference_cases import REFERENCE_CASES

OPEN = ["0.0.0.0/0"]
PORT = {"name": "web", "containerPort": 8080}


def env(*names: str, value: str = "v") -> Json:
    return {"env": [{"name": name, "value": value} for name in names]}


def port(**fields: object) -> Json:
    return {"ports": [{**PORT, **fields}], "allowedCIDRs": OPEN}


def ports(*pairs: tuple[str, int]) -> Json:
    return {"ports": [{"name": name, "containerPort": number} for name, number in pairs], "allowedCIDRs": OPEN}


def ssh(**fields: object) -> Json:
    return {"ssh": {"publicKey": PUBLIC_KEY, **fields}, "allowedCIDRs": OPEN}


def gpu(**fields: object) -> Json:
    return {"resources": {"gpu": fields}}


UUID = "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11"
HTTP_HERE = "not an API address: write https://host"
NO_TAG = "move what follows the colon to spec.template.tag"

JOB_CASES = [
    Case("spec.deadlines.runSeconds", "set spec.deadlines.runSeconds, at least 60", job(deadlines=None), job()),
    Case(
        "spec.deadlines.runSeconds",
        "remove spec.deadlines.runSeconds, or make it a Batch job",
        job(task="Persistent", deadlines={"runSeconds": 60}),
        job(task="Persistent", deadlines={"startSeconds": 120}),
    ),
    Case(
        "spec.template.allowedCIDRs",
        "a Persistent job needs allowedCIDRs: list the address ranges",
        job(task="Persistent", template={"allowedCIDRs": None}),
        job(task="Persistent", template={"allowedCIDRs": OPEN}),
    ),
    Case(
        "spec.template.allowedCIDRs",
        "a Persistent job needs allowedCIDRs: list the address ranges",
        job(task="Persistent", template={"allowedCIDRs": []}),
        job(task="Persistent"),
    ),
    template_case("allowedCIDRs", "ports and ssh need allowedCIDRs", {"ports": [PORT]}, port()),
    template_case("allowedCIDRs", "ports and ssh need allowedCIDRs", {**ssh(), "allowedCIDRs": []}, ssh()),
    template_case(
        "allowedCIDRs[0]", "203.0.113.7/32", {"allowedCIDRs": ["203.0.113.7"]}, {"allowedCIDRs": ["203.0.113.7/32"]}
    ),
    template_case(
        "allowedCIDRs[1]", "203.0.113.7/32", {"allowedCIDRs": [*OPEN, "10.0.0.0/33"]}, {"allowedCIDRs": OPEN}
    ),
    template_case(
        "allowedCIDRs[0]", "203.0.113.7/32", {"allowedCIDRs": ["2001:db8::"]}, {"allowedCIDRs": ["2001:db8::/48"]}
    ),
    Case(
        "spec.accountRef.name",
        "use the metadata.name of a DispersedAccount",
        job(accountRef={"name": "Team_A"}),
        job(accountRef={"name": "team-a.eu"}),
    ),
    Case(
        "spec.connection.secretName",
        "not a Secret name: use lower-case letters",
        job(connection={"secretName": "Mine"}),
        job(connection={"secretName": "mine"}),
    ),
    *(
        Case(f"spec.limits.{field}", says, job(limits={field: refused}), job(limits={field: accepted}))
        for field in ("maxHourlyRateUSD", "maxCostUSD")
        for says, refused, accepted in (
            ("not an amount: write US dollars", "1,50", "1.50"),
            ("not an amount: write US dollars", "1e3", "1000"),
            ("not an amount: write US dollars", "-1", "0.0001"),
            ("set spec.suspend to true instead", "0.00", "0.01"),
        )
    ),
    Case("spec.template", "one of template and adopt is needed, and not both", adopting(adopt=None), adopting()),
    Case(
        "spec.template",
        "or spec.adopt to take over one that exists",
        adopting(template={"title": "t", "image": "team/worker", "allowedCIDRs": OPEN}),
        adopting(task="Batch"),
    ),
    Case(
        "spec.adopt.jobUUID",
        "copy it from the service's console or a DispersedOrphan",
        adopting(adopt={"jobUUID": "../jobs"}),
        adopting(adopt={"jobUUID": "a1"}),
    ),
    *(
        Case("spec.deadlines", "remove spec.deadlines; spec.limits.maxLifetimeSeconds holds", refused, accepted)
        for refused, accepted in (
            (adopting(task="Batch", deadlines={"runSeconds": 60}), adopting(limits={"maxLifetimeSeconds": 60})),
            (adopting(deadlines={"assignSeconds": 301}), adopting(deadlines={"assignSeconds": 300})),
            (adopting(deadlines={"startSeconds": 301}), adopting(deadlines={})),
        )
    ),
    Case(
        "spec.retry",
        "remove spec.retry, or set template instead of adopt",
        adopting(retry={"remoteRetries": 1}),
        adopting(retry={}),
    ),
    Case(
        "spec.connection.secretName",
        "remove spec.connection.secretName",
        adopting(connection={"secretName": "mine"}),
        adopting(connection={}),
    ),
    template_case("title", "one line of ASCII text", {"title": "Tür"}, {"title": "door"}),
    template_case("title", "one line of ASCII text", {"title": "a\nb"}, {"title": "a" * 200}),
    template_case("description", "only ASCII text can be signed", {"description": "é"}, {"description": "a\n\tb"}),
    template_case("image", NO_TAG, {"image": "team/worker:1.2"}, {"image": "team/worker", "tag": "1.2"}),
    template_case(
        "image",
        NO_TAG,
        {"image": "registry.example.com:5000/team/worker:1.2"},
        {"image": "registry.example.com:5000/team/worker"},
    ),
    template_case(
        "image",
        "remove it and set spec.template.tag",
        {"image": "team/worker@sha256:0123abcd"},
        {"image": "team/worker"},
    ),
    template_case("image", "not an image name: write it like", {"image": "team/wörker"}, {"image": "Team/Worker_1.x"}),
    template_case("tag", "not a tag: use letters", {"tag": ":latest"}, {"tag": "v1.2_3-rc"}),
    template_case("env[0].name", "not a variable name: use letters", env("1234"), env("_1234")),
    template_case("env[1].name", "not a variable name: use letters", env("A", "A-B"), env("A", "A_B")),
    *(
        template_case("env[0].name", "remove it, or use another name", env(name), env(f"MY_{name}"))
        for name in ("DISPERSED_K8S_TOKEN", "SSH_PUBKEY", "CONTAINER_ACCESS_TOKEN")
    ),
    template_case("env", "two variables have the same name", env("A", "B", "A"), env("A", "B", "a")),
    template_case(
        "env[0].value",
        "encode the value, for example as base64",
        env("A", value="ß"),
        env("A", value='\t\r\n {"a": "~"}'),
    ),
    template_case(
        "env[0].value", "encode the value, for example as base64", env("A", value="\x7f"), env("A", value="")
    ),
    template_case("ports[0].name", "not a port name: use lower-case", port(name="Web"), port(name="web-1")),
    template_case("ports[0].name", "not a port name: use lower-case", port(name="web-"), port(name="w")),
    template_case("ports[0].name", "choose another name, or set ssh instead", port(name="ssh"), port(name="ssh2")),
    template_case(
        "ports[0].containerPort", "set spec.template.ssh instead", port(containerPort=22), port(containerPort=2222)
    ),
    template_case("ports", "two ports have the same name", ports(("a", 1), ("a", 2)), ports(("a", 1), ("b", 2))),
    template_case(
        "ports", "two ports have the same containerPort", ports(("a", 1), ("b", 1)), ports(("a", 1), ("b", 2))
    ),
    template_case("ssh.publicKey", "paste the line of your .pub file", ssh(publicKey="-----BEGIN OPENSSH"), ssh()),
    template_case(
        "ssh.publicKey",
        "paste the line of your .pub file",
        ssh(publicKey="AAAAC3NzaC1lZDI1NTE5AAAA"),
        ssh(publicKey="sk-ssh-ed25519@openssh.com AAAAGnNr me"),
    ),
    template_case("ssh.publicKey", "one line of ASCII text", ssh(publicKey=f"{PUBLIC_KEY}\n"), ssh()),
    template_case(
        "ssh.publicKey",
        "one line of ASCII text",
        ssh(publicKey="ssh-rsa AAAAB3 Jürgen"),
        ssh(publicKey="ssh-rsa AAAAB3"),
    ),
    template_case("ssh.user", "not a user name: use letters", ssh(user="a b"), ssh(user="unsloth")),
    template_case(
        "resources.gpu.registryUUID", "keep one of them", gpu(name="RTX 3090", registryUUID=UUID), gpu(name="RTX 3090")
    ),
    template_case("resources.gpu.registryUUID", "or use name instead", gpu(registryUUID="RTX"), gpu(registryUUID=UUID)),
    template_case("resources.gpu.name", "copy the name from the service", gpu(name="RTX™"), gpu(count=2)),
    template_case(
        "resources.regions[0]",
        "write it like eu-central-1",
        {"resources": {"regions": ["Frankfurt"]}},
        {"resources": {"regions": ["eu-central-1", "mx-central-1"]}},
    ),
]

REFUSED_ADDRESSES = (
    "http://api.dispersed.com",
    "https://api.dispersed.com/",
    "https://api.dispersed.com/v1",
    "https://user@api.dispersed.com",
    "http://localhost@api.dispersed.com",
    "http://127.0.0.1.example.com",
    "https://api.dispersed.com?x=1",
    "api.dispersed.com",
)
ACCEPTED_ADDRESSES = (
    "https://api.dispersed.com",
    "https://api.dispersed.com:8443",
    "https://10.1.2.3",
    "https://[2001:db8::1]:443",
    "http://localhost",
    "http://localhost:8080",
    "http://127.0.0.1:1234",
    "http://[::1]:1234",
)

ACCOUNT_CASES = [
    *(
        Case("spec.baseURL", HTTP_HERE, account(baseURL=bad), account(baseURL=good))
        for bad, good in zip(REFUSED_ADDRESSES, ACCEPTED_ADDRESSES, strict=True)
    ),
    Case(
        "spec.credentialsSecretRef.name",
        "use the metadata.name of the Secret with the keys publicKey and secretKey",
        account(credentialsSecretRef={"name": "my_key"}),
        account(credentialsSecretRef={"name": "my-key"}),
    ),
]


def _requirement(**fields: object) -> Json:
    return shared_account(selector={"matchExpressions": [{"key": "env", **fields}]})


SHARED_ACCOUNT_CASES = [
    Case(
        "spec.allowedNamespaces.names[0]",
        "not the name of a namespace: use lower-case letters",
        shared_account(names=["Team A"]),
        shared_account(names=["team-a"]),
    ),
    *(
        Case(
            "spec.allowedNamespaces.selector.matchExpressions[0].values",
            "give In and NotIn at least one",
            _requirement(**bad),
            _requirement(**good),
        )
        for bad, good in (
            ({"operator": "In"}, {"operator": "In", "values": ["dev"]}),
            ({"operator": "NotIn", "values": []}, {"operator": "NotIn", "values": ["prod"]}),
            ({"operator": "Exists", "values": ["dev"]}, {"operator": "Exists"}),
        )
    ),
]

RULE_CASES = JOB_CASES + REFERENCE_CASES + ACCOUNT_CASES + SHARED_ACCOUNT_CASES
