"""Test addresses of Nextcloud servers, and names of files there: which are accepted, and how they are sent."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gozen.errors import BadRequest, UnsuitableName
from gozen.sharing.account import Account
from gozen.sharing.remote_names import check_distinct, check_name, check_path, path_of, quoted

COMPOSED, DECOMPOSED = "\u00e9.csv", "e\u0301.csv"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("cloud.example.org", "https://cloud.example.org"),
        ("https://cloud.example.org/", "https://cloud.example.org"),
        ("https://example.org/cloud/", "https://example.org/cloud"),
        ("https://example.org:443/cloud/index.php/apps/files/?dir=/", "https://example.org/cloud"),
        ("https://example.org:8443/remote.php/dav/files/anna", "https://example.org:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost/cloud", "http://localhost/cloud"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_addresses_as_users_copy_them(given: str, kept: str) -> None:
    assert Account(given, "anna", "p").url == kept


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://cloud.example.org", "has no TLS"),
        ("ftp://cloud.example.org", "is not the address"),
        ("https://anna:secret@cloud.example.org", "contains a user name or a password"),
        ("https://", "is not the address"),
        ("my cloud", "is not the address"),
        ("https://cloud.example.org:port", "is not the address"),
    ],
)
def test_addresses_that_are_refused(address: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as caught:
        Account(address, "anna", "p")
    assert "secret" not in str(caught.value)


def test_without_tls_only_if_asked_for() -> None:
    assert Account("http://cloud.example.org", "anna", "p", insecure=True).url == "http://cloud.example.org"


def test_the_app_password_is_not_shown() -> None:
    assert "p4ss" not in repr(Account("https://cloud.example.org", "anna", "p4ss"))


def test_the_id_of_a_user_is_in_addresses_and_the_name_in_the_log_in() -> None:
    account = Account("https://cloud.example.org", "anna@example.org", "p", user_id="a n/na")
    assert account.dav("files", account.id) == "https://cloud.example.org/remote.php/dav/files/a%20n%2Fna"
    assert account.authorization == "Basic YW5uYUBleGFtcGxlLm9yZzpw"
    with pytest.raises(BadRequest, match="colon"):
        Account("https://cloud.example.org", "an:na", "p")


@pytest.mark.parametrize("name", ["a.csv", "#?%+&=;.txt", "😀.png", "日本語", ".hidden", "a  b", "x" * 250, "é" * 125])
def test_names_that_are_kept(name: str) -> None:
    assert check_name(name) == name
    assert unquote(quoted(f"folder/{name}")) == f"folder/{name}"
    assert not set("#? ") & set(quoted(name))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.", "ends with a dot"),
        ("a ", "ends with a space"),
        ("x" * 251, "has 251 bytes"),
        ("é" * 128, "has 256 bytes"),
        ("a\nb", r"contains '\\n'"),
        ("a\x7fb", r"contains '\\x7f'"),
        ("a\\b", "contains"),
        ("..", "cannot be the name"),
        ("", "cannot be the name"),
        ("a\udcff", "not valid UTF-8"),
    ],
)
def test_names_that_are_refused(name: str, why: str) -> None:
    with pytest.raises(UnsuitableName, match=why) as caught:
        check_name(name)
    assert "rename it" in str(caught.value)


def test_names_are_sent_in_the_composed_form() -> None:
    assert check_name(DECOMPOSED) == COMPOSED
    assert check_path(f"/night/{DECOMPOSED}/") == f"night/{COMPOSED}"
    assert len(check_name("e\u0301" * 125).encode()) == 250  # 375 bytes as it was written


def test_two_forms_of_a_name_in_one_folder_are_refused() -> None:
    check_distinct([COMPOSED, "e.csv"], "night")
    with pytest.raises(UnsuitableName, match="night contains 2 files"):
        check_distinct([COMPOSED, DECOMPOSED], "night")


def test_paths_do_not_leave_the_folder_of_the_user() -> None:
    assert check_path("") == check_path("/") == ""
    assert check_path("a//b") == "a/b"
    with pytest.raises(UnsuitableName):
        check_path("a/../../berta")


@given(st.text(min_size=1).filter(lambda one: "/" not in one and one.isprintable()))
def test_an_address_leads_back_to_its_path(name: str) -> None:
    root = "https://example.org/cloud/remote.php/dav/files/anna"
    address = f"{root}/{quoted(f'night/{name}')}"
    assert urlsplit(address).query == urlsplit(address).fragment == ""
    assert path_of(urlsplit(address).path, root) == f"night/{name}".rstrip("/")


def test_a_listing_of_somebody_else_is_refused() -> None:
    with pytest.raises(BadRequest, match="is not in"):
        path_of("/remote.php/dav/files/berta/a", "https://example.org/remote.php/dav/files/anna")
