"""Credentials: where they come from, and tokens that change while the process runs."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.client import Configuration

from dispersed_operator.errors import SettingsError
from dispersed_operator.kube.client import NAMESPACES, KubeClient
from dispersed_operator.kube.credentials import (
    Credentials,
    InCluster,
    Kubeconfig,
    authorities,
    find_credentials,
    watch_session,
)
from tests.unit.kube.scripted import Script, ok, serving


def kubeconfig(folder: Path, user: dict[str, Any], *, server: str = "https://127.0.0.1:6443", **cluster: Any) -> Path:
    path = folder / "config"
    context = {"cluster": "c", "user": "u"}
    document = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": context},
            {"name": "there", "context": context | {"cluster": "other"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": server} | cluster},
            {"name": "other", "cluster": {"server": "http://127.0.0.2"}},
        ],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def loaded(path: Path, *, context: str | None = None, proxy: str | None = None) -> Configuration:
    return await Credentials(Kubeconfig(str(path), context), proxy, token_seconds=0.0).configuration()


def content_of(path: str | None) -> str | None:
    return Path(path).read_text() if path is not None else None


async def header(configuration: Configuration) -> str | None:
    return await configuration.get_api_key_with_prefix("BearerToken")


async def test_a_token_in_the_kubeconfig_is_used_without_the_newline_at_its_end(tmp_path: Path) -> None:
    configuration = await loaded(kubeconfig(tmp_path, {"token": "abc\n"}))
    assert configuration.host == "https://127.0.0.1:6443"
    assert await header(configuration) == "Bearer abc"


async def test_a_context_can_be_chosen(tmp_path: Path) -> None:
    configuration = await loaded(kubeconfig(tmp_path, {"token": "abc"}), context="there")
    assert configuration.host == "http://127.0.0.2"


async def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    configuration = await loaded(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert await header(configuration) == "Bearer first"
    (tmp_path / "token").write_text("second\n")
    assert await header(configuration) == "Bearer second"


async def test_a_token_file_that_vanishes_for_a_moment_leaves_the_last_token_in_use(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text("first")
    configuration = await loaded(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert await header(configuration) == "Bearer first"
    (tmp_path / "token").unlink()
    assert await header(configuration) == "Bearer first"


async def test_a_pod_uses_its_service_account_and_reads_the_token_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first\n")
    ca.write_text("certificate")
    configuration = await Credentials(InCluster(token, ca), token_seconds=0.0).configuration()
    assert (configuration.host, configuration.ssl_ca_cert) == ("https://10.0.0.1:443", str(ca))
    assert await header(configuration) == "Bearer first"
    token.write_text("second\n")
    assert await header(configuration) == "Bearer second"


async def test_client_certificates_of_a_kubeconfig_are_used(tmp_path: Path) -> None:
    user = {name: base64.b64encode(name.encode()).decode() for name in ("client-certificate-data", "client-key-data")}
    configuration = await loaded(kubeconfig(tmp_path, user))
    assert content_of(configuration.cert_file) == "client-certificate-data"
    assert content_of(configuration.key_file) == "client-key-data"
    assert await header(configuration) is None


async def test_a_proxy_is_a_setting_and_the_environment_is_not_asked(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {}, **{"proxy-url": "http://127.0.0.1:3128"})
    assert (await loaded(path)).proxy == "http://127.0.0.1:3128"
    assert (await loaded(path, proxy="http://127.0.0.1:8080")).proxy == "http://127.0.0.1:8080"
    assert (await loaded(path)).client_session_kwargs == {"trust_env": False}


@pytest.mark.parametrize("text", ["", "secret: [", "users: secret", "current-context: secret\n"])
async def test_a_broken_kubeconfig_is_reported_without_its_content(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(SettingsError) as caught:
        await loaded(tmp_path / "config")
    assert "secret" not in str(caught.value)
    assert "config" in str(caught.value)


async def test_a_missing_kubeconfig_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="absent"):
        await loaded(tmp_path / "absent")


def test_the_flag_goes_before_the_variable_the_pod_and_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("")
    environ = {"HOME": str(tmp_path)}
    home = find_credentials(environ=environ)
    assert home.source == Kubeconfig(str(tmp_path / ".kube" / "config"))
    environ["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    assert find_credentials(environ=environ).source == InCluster()
    environ["KUBECONFIG"] = "/from/variable"
    assert find_credentials(environ=environ).source == Kubeconfig("/from/variable")
    chosen = find_credentials(kubeconfig=Path("/from/flag"), context="c", proxy="http://p", environ=environ)
    assert chosen == Credentials(Kubeconfig("/from/flag", "c"), "http://p")


def test_no_credentials_at_all_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--kubeconfig"):
        find_credentials(environ={"HOME": str(tmp_path)})


async def test_both_clients_send_the_token_of_the_moment(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    script = Script([ok({})])
    async with serving(script) as url:
        source = Credentials(
            Kubeconfig(str(kubeconfig(tmp_path, {"tokenFile": "token"}, server=url))), token_seconds=0.0
        )
        ours = KubeClient(await source.configuration(), random=lambda: 0.0)
        async with ours as client, watch_session(await source.configuration()) as session:
            await client.get(NAMESPACES, namespace=None, name="x")
            await session.get(f"{url}/watch")
            token.write_text("second\n")
            await client.get(NAMESPACES, namespace=None, name="x")
            await session.get(f"{url}/watch")
    sent = [headers["Authorization"] for headers in script.headers]
    assert sent == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


# --- the authorities that vouch for the API server ---


def pem(*contents: bytes) -> str:
    """Certificates in form only; their fingerprint is that of the bytes."""
    return "".join(ssl.DER_cert_to_PEM_cert(content) for content in contents)


def trusting(**changes: Any) -> Configuration:
    configuration = Configuration(host="https://127.0.0.1:6443")
    for name, value in changes.items():
        setattr(configuration, name, value)
    return configuration


@pytest.mark.failure_mode(70)
def test_the_authorities_are_told_by_their_certificates_wherever_these_come_from(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("a comment\n" + pem(b"two", b"one"))
    from_file = authorities(trusting(ssl_ca_cert=str(file)))
    assert len(from_file) == 2
    assert authorities(trusting(ca_cert_data=pem(b"one", b"two"))) == from_file, "order and comments say nothing"
    assert set(authorities(trusting(ca_cert_data=pem(b"two")))) < set(from_file)
    assert not set(authorities(trusting(ca_cert_data=pem(b"three")))) & set(from_file)


@pytest.mark.parametrize(
    ("configuration", "because"),
    [
        (Configuration(host="http://127.0.0.1:8080"), "nothing is verified without TLS"),
        (trusting(verify_ssl=False, ca_cert_data=pem(b"one")), "the verification is switched off"),
        (trusting(), "the authorities of the system vouch for everybody"),
    ],
)
def test_without_an_authority_of_its_own_an_api_server_has_no_guard(configuration: Configuration, because: str) -> None:
    assert authorities(configuration) == (), because
