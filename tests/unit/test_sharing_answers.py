"""Test answers of Nextcloud: named errors with the server's message and advice, repeated requests, and listings."""

from __future__ import annotations

import hashlib
import json
import zlib

import pytest

from gozen import errors
from gozen.errors import ExitCode, SharingError, UnexpectedAnswer
from gozen.sharing.answers import Answer, error_of, ocs_data, words_of
from gozen.sharing.checksums import best_of, digest_for, written
from gozen.sharing.file_listing import Entry, entries
from gozen.sharing.retrying import ConnectionLimits, FailedAttempt, pause_s, retry_after_s

SABRE = (
    '<?xml version="1.0" encoding="utf-8"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">'
    "<s:exception>Sabre\\DAV\\Exception\\Locked</s:exception><s:message>{}</s:message></d:error>"
)
INVALID_PATH = "OCA\\DAV\\Connector\\Sabre\\Exception\\InvalidPath"
ROOT = "https://example.org/remote.php/dav/files/anna"


def sabre(status: int, words: str, **headers: str) -> Answer:
    return Answer(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, SABRE.format(words).encode()
    )


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (sabre(401, "wrong"), errors.LogInRefused, "app password of anna: it is wrong or was revoked"),
        (sabre(403, "no access"), errors.CloudRefused, "does not permit it"),
        (sabre(404, "gone"), errors.CloudPathNotFound, "does not exist"),
        (sabre(409, "no parent"), errors.CloudPathNotFound, "folder above it"),
        (sabre(412, "etag"), errors.CloudConflict, "is not overwritten"),
        (sabre(413, "too large"), errors.CloudRefused, "sharing.chunk_mb"),
        (sabre(423, "locked"), errors.CloudFileLocked, "has locked the file"),
        (sabre(429, "slow down", retry_after="30"), errors.CloudUnavailable, "again after 30 seconds"),
        (sabre(429, "Reached maximum delay"), errors.CloudUnavailable, "too many wrong passwords from this address"),
        (sabre(500, "oops"), errors.CloudFailed, "failed"),
        (sabre(504, "too slow"), errors.CloudFailed, "failed"),
        (sabre(503, "not now"), errors.CloudUnavailable, "failed"),
        (sabre(503, "busy", x_nextcloud_maintenance_mode="1"), errors.CloudUnavailable, "in maintenance"),
        (sabre(503, "System is in maintenance mode."), errors.CloudUnavailable, "the server is in maintenance"),
        (sabre(507, "space"), errors.CloudFull, "quota"),
        (sabre(400, "bad name"), errors.CloudRefused, "refuses the request"),
        (
            Answer(400, {}, SABRE.replace("Sabre\\DAV\\Exception\\Locked", INVALID_PATH).format("too long").encode()),
            errors.UnsuitableName,
            'does not accept this name (the server says: "too long"); rename it',
        ),
        (
            Answer(400, {}, b"<!DOCTYPE html>\n<html>untrusted"),
            errors.UnexpectedAnswer,
            "to trusted_domains of Nextcloud",
        ),
        (Answer(302, {"location": "https://other.example/x"}), errors.RedirectRefused, "to https://other.example/x"),
        (Answer(303, {"location": "/index.php/login?x=1"}), errors.LogInRefused, "asks for a log-in"),
    ],
)
def test_an_error_names_file_words_and_advice(answer: Answer, kind: type[SharingError], words: str) -> None:
    error = error_of(answer, "night/a.csv", "upload", "anna")
    assert type(error) is kind
    text = str(error)
    assert text.startswith("cannot upload night/a.csv: ")
    assert words in text
    assert "; " in text
    assert words_of(answer) in text


def test_a_server_that_fails_with_a_long_name_is_not_called_unavailable() -> None:
    for length, kind in ((227, errors.CloudFailed), (228, errors.UnsuitableName)):
        error = error_of(sabre(500, "Could not write file contents"), f"night/{'x' * length}", "upload", "anna")
        assert type(error) is kind


def test_only_a_transfer_is_told_that_complete_files_are_kept() -> None:
    kept = "run again later: complete files are not transferred again"
    assert str(error_of(Answer(500), "a", "upload")).endswith(kept)
    assert str(error_of(Answer(500), "your shares", "list")).endswith("run again later")
    assert str(error_of(Answer(404), "a", "upload")).endswith("lists what exists")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (FailedAttempt(503), "the server answers with status 503"),
        (FailedAttempt(None), "the connection broke"),
        (FailedAttempt(None, sent=False), "the server cannot be reached"),
    ],
)
def test_a_long_pause_says_what_happened(failure: FailedAttempt, words: str) -> None:
    assert failure.in_words == words


def test_errors_that_may_pass_have_exit_code_75() -> None:
    codes = {
        status: error_of(Answer(status), "a", "upload").exit_code for status in (401, 403, 412, 423, 429, 503, 507)
    }
    assert [status for status, code in codes.items() if code is ExitCode.STORAGE] == [423, 429, 503, 507]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (SABRE.format("two\n  lines").encode(), "two lines"),
        (SABRE.format("a &lt;b&gt; &amp; c").encode(), "a <b> & c"),
        (b"<html><body>a page</body></html>", ""),
        (b"<!DOCTYPE html><html>a page</html>", ""),
        (b"<d:error", ""),
        (b"", ""),
        (b'{"ocs":{"meta":{"status":"failure","statuscode":404,"message":"Wrong share ID"}}}', "Wrong share ID"),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a><message>&b;</message></a>', ""),
        (SABRE.format("x" * 900).encode(), "x" * 300 + "..."),
    ],
)
def test_words_of_the_server(body: bytes, words: str) -> None:
    assert words_of(Answer(500, {}, body)) == words


def ocs(code: int, data: object, message: str = "") -> bytes:
    return json.dumps({"ocs": {"meta": {"status": "", "statuscode": code, "message": message}, "data": data}}).encode()


def test_the_code_in_meta_counts_although_the_status_is_200() -> None:
    assert ocs_data(Answer(200, {}, ocs(200, [1])), "a", "share") == [1]
    assert ocs_data(Answer(200, {}, ocs(100, {})), "a", "share") == {}
    with pytest.raises(errors.CloudPathNotFound, match="no such user"):
        ocs_data(Answer(200, {}, ocs(404, [], "no such user")), "a", "share")
    with pytest.raises(errors.LogInRefused):
        ocs_data(Answer(200, {}, ocs(997, [])), "a", "share")
    with pytest.raises(UnexpectedAnswer):
        ocs_data(Answer(200, {}, b"<html>"), "a", "share")


LIMITS = ConnectionLimits(attempts=8, patience_s=100)


@pytest.mark.parametrize(
    ("failure", "may", "is_tried_again"),
    [
        (FailedAttempt(429), False, True),
        (FailedAttempt(503), False, True),
        (FailedAttempt(None, sent=False), False, True),
        (FailedAttempt(None), False, False),
        (FailedAttempt(None), True, True),
        (FailedAttempt(502), False, False),
        (FailedAttempt(502), True, True),
        (FailedAttempt(423), True, True),
        (FailedAttempt(401), True, False),
        (FailedAttempt(404), True, False),
        (FailedAttempt(507), True, False),
    ],
)
def test_what_is_tried_again(failure: FailedAttempt, may: bool, is_tried_again: bool) -> None:
    assert (pause_s(failure, 1, 0.0, LIMITS, repeatable=may) is not None) == is_tried_again


def test_pauses_grow_and_end() -> None:
    pauses = [pause_s(FailedAttempt(503), attempt, 0.0, LIMITS, repeatable=True) for attempt in range(1, 9)]
    assert pauses[-1] is None
    assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses[:6]) if pause is not None)
    assert pause_s(FailedAttempt(503, retry_after_s=40), 1, 50.0, LIMITS, repeatable=True) == 40
    assert pause_s(FailedAttempt(503, retry_after_s=40), 1, 61.0, LIMITS, repeatable=True) is None
    assert pause_s(FailedAttempt(423), 5, 0.0, LIMITS, repeatable=True) is None


@pytest.mark.parametrize(
    ("text", "pause"),
    [("7", 7.0), ("Thu, 01 Jan 1970 00:01:00 GMT", 50.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None)],
)
def test_retry_after(text: str, pause: float | None) -> None:
    assert retry_after_s({"retry-after": text}, now=10.0) == pause
    assert retry_after_s({}, now=10.0) is None


LISTING = b"""<?xml version="1.0"?>
<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:oc="http://owncloud.org/ns">
<d:response><d:href>/remote.php/dav/files/anna/night/</d:href><d:propstat><d:prop>
<d:resourcetype><d:collection/></d:resourcetype><d:getetag>&quot;1f&quot;</d:getetag></d:prop>
<d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:getcontentlength/><oc:checksums/></d:prop>
<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>
<d:response><d:href>/remote.php/dav/files/anna/night/a%23%20%f0%9f%98%80.csv</d:href><d:propstat><d:prop>
<d:resourcetype/><d:getcontentlength>12</d:getcontentlength><d:getetag>&quot;2f&quot;</d:getetag>
<d:getlastmodified>Wed, 20 Jul 2022 05:12:23 GMT</d:getlastmodified><oc:permissions>RGDNVW</oc:permissions>
<oc:checksums><oc:checksum>MD5:AA SHA1:bb ADLER32:cc</oc:checksum></oc:checksums></d:prop>
<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"""


def test_a_listing_as_the_manual_shows_it() -> None:
    folder, file = entries(LISTING, ROOT)
    assert folder == Entry("night", is_folder=True, etag='"1f"')
    assert file == Entry("night/a# 😀.csv", False, 12, '"2f"', "SHA1:bb", 1658293943.0, "RGDNVW")


@pytest.mark.parametrize("body", [b"", b"<html><p>", b'<!DOCTYPE a [<!ENTITY b "c">]><d:x xmlns:d="DAV:">&b;</d:x>'])
def test_a_page_is_no_listing(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="is not a WebDAV listing"):
        list(entries(body, ROOT))


def test_checksums_of_other_clients() -> None:
    assert best_of(["MD5:aa", "SHA256:BB ADLER32:cc"]) == "SHA256:bb"
    assert best_of(["CRC:aa", "", "SHA1:"]) == ""
    data = b"gozen"
    digests = {
        "SHA256": hashlib.sha256(data).hexdigest(),
        "SHA1": hashlib.sha1(data).hexdigest(),
        "MD5": hashlib.md5(data).hexdigest(),
        "SHA3-256": hashlib.sha3_256(data).hexdigest(),
        "ADLER32": f"{zlib.adler32(data):08x}",
    }
    for name, value in digests.items():
        digest = digest_for(f"{name}:x")
        digest.update(b"go")
        digest.update(b"zen")
        assert written(name, digest) == f"{name}:{value}"
