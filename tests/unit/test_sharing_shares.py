"""Test shares: interpretation of OCS answers, requests, messages about refusals, and tables.

Covered: answers of both OCS versions, with lists and without; capabilities of old and new servers; forms; days;
passwords; HTML. Not covered: a server (services/test_sharing_shares.py), the log-in (unit/test_sharing_log_in.py).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest

from gozen.errors import BadRequest, CloudFileLocked, CloudPathNotFound, CloudRefused, UnexpectedAnswer
from gozen.sharing.answers import Answer
from gozen.sharing.capabilities import Capabilities, read_capabilities
from gozen.sharing.ocs_answers import OcsRefusal, refusal_of
from gozen.sharing.people.qr_codes import qr_svg, qr_text
from gozen.sharing.people.refusals import link_refused, receiver_refused
from gozen.sharing.people.rights import Rights, rights_of, rights_words
from gozen.sharing.people.share_records import Share, read_shares
from gozen.sharing.people.share_requests import (
    LinkWish,
    check_link,
    expiry_day,
    link_form,
    new_password,
    receiver_form,
    receivers,
)
from gozen.sharing.people.share_tables import NewLink, ShareTable

TODAY = dt.date(2027, 1, 31)
USER = {
    "id": "12",
    "share_type": 0,
    "path": "/results",
    "item_type": "folder",
    "permissions": 15,
    "share_with": "sora",
    "share_with_displayname": "Sora Aoki",
    "uid_owner": "hoshi",
    "expiration": None,
}
LINK = {
    "id": 13,
    "share_type": 3,
    "path": "/results/lc.parquet",
    "item_type": "file",
    "permissions": 1,
    "share_with": "3|$argon2id$secret",
    "share_with_displayname": "(Shared link)",
    "uid_owner": "hoshi",
    "expiration": "2027-02-28 00:00:00",
    "label": "for the referee",
    "url": "https://cloud.example.org/s/abc",
}


def ocs(code: int, message: str = "", status: int = 200) -> Answer:
    """Return an answer of OCS."""
    meta = {"status": "failure", "statuscode": code, "message": message}
    return Answer(status, {}, json.dumps({"ocs": {"meta": meta, "data": []}}).encode())


@pytest.mark.parametrize("code", [100, 200, 201])
def test_an_answer_of_success_is_not_a_refusal(code: int) -> None:
    assert refusal_of(ocs(code, "OK")) is None


def test_a_refusal_with_http_200_is_a_refusal() -> None:
    assert refusal_of(ocs(404, " no\nsuch  file ")) == OcsRefusal(404, "no such file")
    assert refusal_of(ocs(403, status=403)) == OcsRefusal(403, "")
    assert [refusal_of(ocs(code)).is_missing for code in (404, 998, 403)] == [True, True, False]  # type: ignore[union-attr]
    assert [refusal_of(ocs(code)).is_logged_out for code in (401, 997, 403)] == [True, True, False]  # type: ignore[union-attr]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"ocs": []}', b'{"ocs": {"meta": {}}}'])
def test_what_is_not_of_ocs_is_no_refusal(body: bytes) -> None:
    assert refusal_of(Answer(200, {}, body)) is None


def test_shares_come_in_a_list_in_a_list_with_one_or_alone() -> None:
    assert [one.id for one in read_shares([USER, LINK])] == ["12", "13"]
    assert read_shares([USER]) == read_shares(USER)
    assert read_shares([]) == []


def test_a_share_is_read_with_its_receiver_and_its_rights() -> None:
    (found,) = read_shares(USER)
    assert (found.kind, found.who, found.name, found.path, found.folder) == (
        "user",
        "sora",
        "Sora Aoki",
        "results",
        True,
    )
    assert found.rights == Rights.READ | Rights.UPDATE | Rights.CREATE | Rights.DELETE
    assert (found.expires, found.password, found.url) == (None, False, "")


def test_the_digest_of_the_password_of_a_link_is_shown_nowhere() -> None:
    (found,) = read_shares(LINK)
    assert (found.kind, found.password, found.expires, found.label) == (
        "link",
        True,
        dt.date(2027, 2, 28),
        "for the referee",
    )
    table = ShareTable([found])
    assert "argon" not in f"{found}{table!r}{table._repr_html_()}"
    (open_,) = read_shares(LINK | {"share_with": None})
    assert not open_.password


def test_a_link_that_may_be_added_to_another_cloud_is_still_only_read() -> None:
    (found,) = read_shares(LINK | {"permissions": 17})
    assert found.rights == Rights.READ


def test_kinds_of_other_apps_are_shown_too() -> None:
    assert [read_shares(USER | {"share_type": kind})[0].kind for kind in (1, 4, 7, 10)] == [
        "group",
        "e-mail",
        "team",
        "other",
    ]


@pytest.mark.parametrize("missing", ["id", "path", "share_type", "permissions"])
def test_a_share_without_what_makes_it_one_is_refused(missing: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=missing):
        read_shares({name: value for name, value in USER.items() if name != missing})


def capabilities(**shares: Any) -> Any:
    return {"version": {"major": 26, "string": "26.0.3"}, "capabilities": {"files_sharing": shares}}


def test_the_rules_of_a_server_are_read() -> None:
    public = {
        "enabled": True,
        "password": {"enforced": True},
        "expire_date": {"enabled": True, "days": "7", "enforced": True},
        "upload": False,
    }
    data = capabilities(api_enabled=True, public=public, resharing=False, group={"enabled": False})
    data["capabilities"] |= {"dav": {"chunking": "1.0"}, "password_policy": {"minLength": 12}}
    assert read_capabilities(data) == Capabilities(
        "26.0.3",
        26,
        groups=False,
        resharing=False,
        link_password=True,
        link_days=7,
        most_link_days=7,
        link_upload=False,
        least_password=12,
        chunking="1.0",
    )


def test_passwords_of_links_may_have_a_rule_of_their_own() -> None:
    data = capabilities(api_enabled=True)
    data["capabilities"]["password_policy"] = {"minLength": 10, "policies": {"sharing": {"minLength": 16}}}
    assert read_capabilities(data).least_password == 16
    data["capabilities"]["password_policy"] = {"minLength": 10, "policies": {"account": {"minLength": 10}}}
    assert read_capabilities(data).least_password == 10


def test_a_day_that_is_only_proposed_is_no_limit() -> None:
    public = {"enabled": True, "expire_date": {"enabled": True, "days": 7}}
    found = read_capabilities(capabilities(api_enabled=True, public=public))
    assert (found.link_days, found.most_link_days) == (7, None)


def test_empty_groups_that_php_writes_as_lists_switch_links_off() -> None:
    found = read_capabilities(capabilities(api_enabled=True, public=[], group=[]))
    assert (found.sharing, found.links, found.groups) == (True, False, True)
    assert not read_capabilities({"version": [], "capabilities": []}).sharing


def test_rights_of_a_file_have_no_create_and_no_delete() -> None:
    assert rights_of(folder=True, write=True, reshare=True) == 31
    assert rights_of(folder=False, write=True, reshare=True) == 19
    assert rights_of(folder=False) == rights_of(folder=True) == 1


@pytest.mark.parametrize(
    ("rights", "words"),
    [(1, "read"), (3, "read and write"), (15, "read and write"), (31, "read and write, may share"), (4, "upload only")],
)
def test_rights_have_words(rights: int, words: str) -> None:
    assert rights_words(Rights(rights)) == words


def test_receivers_are_asked_for_once() -> None:
    assert receivers(["sora", "kaze", "sora"], ["neo"], "hoshi") == [
        ("user", "sora"),
        ("user", "kaze"),
        ("group", "neo"),
    ]
    assert receivers("sora", (), "hoshi") == [("user", "sora")]


@pytest.mark.parametrize(
    ("users", "groups", "words"),
    [
        ([], [], "name at least one"),
        ([" "], [], "is empty"),
        ([], [""], "is empty"),
        (["hoshi"], [], "your own account"),
    ],
)
def test_receivers_that_cannot_be_are_refused(users: list[str], groups: list[str], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        receivers(users, groups, "hoshi")


def test_forms_have_what_the_documents_name() -> None:
    assert receiver_form("/a b", "group", "neo", Rights(17)) == {
        "path": "/a b",
        "shareType": "1",
        "shareWith": "neo",
        "permissions": "17",
    }
    assert link_form("/a", LinkWish()) == {"path": "/a", "shareType": "3"}
    assert link_form("/a", LinkWish("secret", dt.date(2027, 2, 1), "me", upload=True)) == {
        "path": "/a",
        "shareType": "3",
        "password": "secret",
        "expireDate": "2027-02-01",
        "label": "me",
        "publicUpload": "true",
    }


@pytest.mark.parametrize(
    "text", ["30", "30d", " 30d ", 30, "2027-03-02", dt.date(2027, 3, 2), dt.datetime(2027, 3, 2, 8)]
)
def test_a_day_is_given_as_a_day_or_as_a_number_of_days(text: Any) -> None:
    assert expiry_day(text, TODAY) == dt.date(2027, 3, 2)


def test_no_day_is_the_rule_of_the_server() -> None:
    assert expiry_day(None, TODAY) is None


@pytest.mark.parametrize("text", ["tomorrow", "2027-02-30", "-3", "", "999999d", "3w"])
def test_other_days_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadRequest, match=r"30d|at most"):
        expiry_day(text, TODAY)


@pytest.mark.parametrize("day", ["2027-01-31", "2027-01-30", "0d"])
def test_a_link_does_not_expire_today_or_before(day: str) -> None:
    with pytest.raises(BadRequest, match="today is 2027-01-31"):
        check_link(LinkWish(expires=expiry_day(day, TODAY)), TODAY)
    check_link(LinkWish(expires=dt.date(2027, 2, 1)), TODAY)


@pytest.mark.parametrize("label", ["x" * 256, "é" * 128])
def test_a_label_that_is_too_long_is_refused(label: str) -> None:
    with pytest.raises(BadRequest, match="256 bytes"):
        check_link(LinkWish(label=label), TODAY)
    check_link(LinkWish(label=label[:-1]), TODAY)


def test_a_new_password_meets_the_usual_rules_and_is_new() -> None:
    found = [new_password(least) for least in (0, 8, 40)]
    assert [len(one) for one in found] == [20, 20, 40]
    for one in found:
        assert all(re.search(kind, one) for kind in ("[a-z]", "[A-Z]", r"\d", r"[-.+=_]"))
    assert len({new_password() for _ in range(100)}) == 100


def test_a_missing_person_is_named_with_similar_ones() -> None:
    error = receiver_refused("results", "user", "soda", OcsRefusal(404, "Wer?"), ["sora", "sophie"], Capabilities())
    assert isinstance(error, CloudPathNotFound)
    assert str(error) == (
        'cannot share results with the user soda: the server says: "Wer?"; the server knows no user of this name: '
        "did you mean sora?"
    )
    nobody = receiver_refused("results", "user", "soda", OcsRefusal(404), [], Capabilities())
    assert str(nobody).endswith(
        "the server answers 404 without words; the server knows no user of this name: check the spelling"
    )


def test_a_known_person_is_not_called_missing() -> None:
    error = receiver_refused("results", "user", "sora", OcsRefusal(404, "no"), ["sora"], Capabilities())
    assert isinstance(error, CloudRefused)
    assert "knows no user" not in str(error)


@pytest.mark.parametrize(
    ("kind", "rules", "words"),
    [
        ("user", Capabilities(sharing=False), "sharing is switched off at this server"),
        ("group", Capabilities(groups=False), "name the users instead"),
        ("user", Capabilities(groups=False), "fewer rights"),
    ],
)
def test_the_rule_behind_a_refused_receiver_is_named(kind: str, rules: Capabilities, words: str) -> None:
    error = receiver_refused("results", kind, "neo", OcsRefusal(403, "nein"), [], rules)
    assert words in str(error)
    assert '"nein"' in str(error)


@pytest.mark.parametrize(
    ("wish", "rules", "words"),
    [
        (LinkWish(), Capabilities(links=False), "public links are switched off at this server"),
        (LinkWish(), Capabilities(link_password=True), "add --new-password"),
        (LinkWish("abc"), Capabilities(least_password=10), "at least 10 characters"),
        (LinkWish("password123"), Capabilities(least_password=10), "give another password"),
        (LinkWish(expires=dt.date(2027, 3, 31)), Capabilities(most_link_days=7), "at most 7 days"),
        (LinkWish(upload=True), Capabilities(link_upload=False), "leave out the upload"),
        (LinkWish(), Capabilities(), "ask the owner"),
    ],
)
def test_the_rule_behind_a_refused_link_is_named(wish: LinkWish, rules: Capabilities, words: str) -> None:
    error = link_refused("results", wish, OcsRefusal(403, "nein"), rules, TODAY)
    assert isinstance(error, CloudRefused)
    assert words in str(error)
    assert str(error).startswith('cannot make a public link to results: the server says: "nein"; ')


def test_a_link_to_a_file_that_is_locked_is_not_a_matter_of_the_password() -> None:
    """Nextcloud answers 404 then, as if links were switched off."""
    refusal = OcsRefusal(404, "Could not create share")
    error = link_refused("results", LinkWish(password="right horse"), refusal, Capabilities(), TODAY)
    assert isinstance(error, CloudFileLocked)
    assert "it may be locked by a transfer or an editor" in str(error)
    off = link_refused("results", LinkWish(), refusal, Capabilities(links=False), TODAY)
    assert isinstance(off, CloudRefused)


def test_a_table_has_the_columns_that_say_something() -> None:
    table = ShareTable(read_shares([LINK, USER]))
    assert [one.id for one in table] == ["12", "13"]
    assert repr(table).splitlines()[0].split() == [
        "path",
        "shared",
        "with",
        "kind",
        "may",
        "until",
        "label",
        "link",
        "id",
    ]
    assert repr(ShareTable(table[:1])).splitlines() == [
        "path      shared with       kind  may             id",
        "results/  Sora Aoki (sora)  user  read and write  12",
    ]
    assert repr(ShareTable([], "only you see results")) == "only you see results"
    assert ShareTable([], "<b>")._repr_html_() == "<p>&lt;b&gt;</p>"


def test_html_of_a_table_escapes_what_others_wrote() -> None:
    evil = "<script>alert(1)</script>"
    (share,) = read_shares(LINK | {"label": evil, "path": f"/{evil}", "url": "javascript:alert(1)"})
    found = ShareTable([share])._repr_html_()
    assert "<script>" not in found
    assert "href" not in found
    (good,) = read_shares(LINK | {"url": 'https://x.org/s/a"onclick="b'})
    assert '"onclick' not in ShareTable([good])._repr_html_()


def test_a_new_link_shows_its_address_but_not_its_password() -> None:
    link = NewLink(read_shares(LINK)[0], "secret-of-the-link")
    assert link.url == "https://cloud.example.org/s/abc"
    assert repr(link) == "https://cloud.example.org/s/abc (results/lc.parquet: read, until 2027-02-28, with a password)"
    shown = link._repr_html_()
    assert "secret-of-the-link" not in shown
    assert '<a href="https://cloud.example.org/s/abc"' in shown
    assert "<svg" in shown


def test_a_qr_code_is_text_and_svg() -> None:
    address = "https://cloud.example.org/s/abc?x=1&y=<2>"
    lines = qr_text(address).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set("".join(lines)) <= set(" ▀▄█")
    assert qr_svg(address).startswith("<svg")
    assert "y=&lt;2&gt;" in qr_svg(address)


def test_a_share_is_a_value() -> None:
    (one,), (other,) = read_shares(USER), read_shares(USER)
    assert one == other
    assert isinstance(one, Share)
