"""Map S3 and network errors to Gozen's errors, with advice to the user. No I/O."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from gozen.errors import BadRequest, GozenError, MissingObject, StorageUnavailable

_ABSENT = frozenset({"NoSuchKey", "NotFound", "404"})
_NO_ACCESS = (
    "these credentials do not have the permission, are wrong, or were revoked (some servers give one answer for all): "
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ask for permission to read and write in this bucket"
)
_NOT_ACCEPTED = "the server does not accept the credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_FULL = "the storage is full: free some space and run again; nothing that was committed is lost"
_LATER = "try again when the storage answers"

_REFUSED = {
    "403": _NO_ACCESS,
    "AccessDenied": _NO_ACCESS,
    "AllAccessDisabled": _NO_ACCESS,
    "InvalidAccessKeyId": _NOT_ACCEPTED,
    "SignatureDoesNotMatch": _NOT_ACCEPTED,
    "XAdminUserNotFound": _NOT_ACCEPTED,
    "InvalidToken": _NOT_ACCEPTED,
    "ExpiredToken": "the session token has expired: get new credentials",
    "RequestTimeTooSkewed": "the clock of this machine differs from the server's: correct it",
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "507": _FULL,
    "ConditionalRequestConflict": "another process writes the same object: run again",
}
"""Advice for error codes that may not recur after the user has acted: `StorageUnavailable`."""

_SENSELESS = {
    "InvalidBucketName": "the name of a bucket has 3 to 63 lower-case letters, digits, dots and dashes",
    "AuthorizationHeaderMalformed": "set storage.region to the region of the bucket",
    "IllegalLocationConstraintException": "set storage.region to the region of the bucket",
    "PermanentRedirect": (
        "the bucket is in another region or on another server: set storage.region or storage.endpoint_url"
    ),
    "301": "the bucket is in another region or on another server: set storage.region or storage.endpoint_url",
    "KeyTooLongError": "the key is too long: give the archive a shorter prefix",
    "MethodNotAllowed": "the server at storage.endpoint_url does not support this request: use another S3 server",
    "NotImplemented": "the server does not support this request: use another S3 server",
}
"""Advice for error codes that will recur because the request or a setting is wrong: `BadRequest`."""

_NO_CREDENTIALS = (
    "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
    "they are never read from Gozen's settings"
)


@contextlib.contextmanager
def s3_errors(name: str, verb: str) -> Iterator[None]:
    """Turn botocore's errors about an object into Gozen's errors, which name the object and give advice."""
    try:
        yield
    except GozenError:
        raise
    except ClientError as error:
        raise of_answer(error, name, verb) from error
    except (BotoCoreError, ResponseParserError, ValueError) as error:
        raise of_client(error, name, verb) from error  # a ValueError: half a header, such as a date without its year


def code_of(error: ClientError) -> str:
    """Return the error code of a server's answer; the HTTP status if the answer has no body, as for HEAD."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_taken(error: ClientError) -> bool:
    """Tell whether a PUT with ``If-None-Match: *`` failed because the key is not free."""
    return code_of(error) in ("PreconditionFailed", "412")


def is_conflict(error: ClientError) -> bool:
    """Tell whether a PUT failed because another PUT to the same key was in progress."""
    return code_of(error) in ("ConditionalRequestConflict", "OperationAborted", "409")


def was_repeated(error: ClientError) -> bool:
    """Tell whether botocore repeated the request, so that an earlier attempt may have taken effect."""
    return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0


def is_beyond(error: ClientError) -> bool:
    """Tell whether a byte range begins after the end of the object."""
    return code_of(error) in ("InvalidRange", "416")


def of_answer(error: ClientError, name: str, verb: str) -> GozenError:
    """Return Gozen's error for an error that the server answered.

    Parameters
    ----------
    name
        URL of the object.
    verb
        The operation, for the message: read, write, list, delete.
    """
    code = code_of(error)
    message = error.response.get("Error", {}).get("Message") or code
    what = f"cannot {verb} {name}: "
    if code == "NoSuchBucket":
        return BadRequest(f"{what}there is no such bucket; create it, or give another archive")
    if code in _ABSENT and verb != "write":
        return MissingObject(f"{what}there is no such object")
    if code in _SENSELESS:
        return BadRequest(f"{what}{message} ({code}); {_SENSELESS[code]}")
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return StorageUnavailable(f"{what}{message} ({code}); {_REFUSED.get(code) or _REFUSED.get(status, _LATER)}")


def of_client(error: Exception, name: str, verb: str) -> GozenError:
    """Return Gozen's error for a request that was not sent or not answered; parameters as in `of_answer`."""
    what = f"cannot {verb} {name}: "
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return BadRequest(what + _NO_CREDENTIALS)
    if isinstance(error, boto.ProfileNotFound | boto.ConfigParseError | boto.NoRegionError):
        return BadRequest(f"{what}{error}; check AWS_PROFILE, AWS_CONFIG_FILE and storage.region")
    if isinstance(error, boto.SSLError):
        return StorageUnavailable(f"{what}{error}; set AWS_CA_BUNDLE to a file with the certificates to trust")
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError):
        return StorageUnavailable(f"{what}{error}; {_LATER}, or check storage.endpoint_url")
    if isinstance(error, boto.ParamValidationError):
        return BadRequest(f"{what}{error}; check the archive's address and storage.endpoint_url")
    return StorageUnavailable(f"{what}{error}; {_LATER}")
