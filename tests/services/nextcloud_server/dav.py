"""Files by wsgidav: listings with ETag, checksum and permissions, downloads with ranges, folders, moves."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from wsgidav.error_printer import ErrorPrinter
from wsgidav.fs_dav_provider import FileResource, FilesystemProvider, FolderResource
from wsgidav.request_resolver import RequestResolver
from wsgidav.wsgidav_app import WsgiDAVApp

from .http import App, Environ, Start, refusal
from .state import State, etag_of

OC = "{http://owncloud.org/ns}"
logging.getLogger("wsgidav").setLevel(logging.CRITICAL)


class _File(FileResource):
    def get_etag(self) -> str:
        return etag_of(Path(self._file_path))

    def get_property_names(self, *, is_allprop: bool) -> list[str]:
        return [*super().get_property_names(is_allprop=is_allprop), f"{OC}permissions"]

    def get_property_value(self, name: str) -> Any:
        if name == f"{OC}permissions":
            return "RGDNVW"
        if name == "{DAV:}getetag":
            return f'"{self.get_etag()}"'
        if name == f"{OC}checksums" and (text := self.provider.state.checksum(Path(self._file_path))):
            element = Element(name)
            SubElement(element, f"{OC}checksum").text = text
            return element
        return super().get_property_value(name)

    def finalize_headers(self, environ: Environ, headers: list[tuple[str, str]]) -> None:
        etag, text = self.get_etag(), self.provider.state.checksum(Path(self._file_path))
        headers.append(("OC-ETag", f'"{etag}"'))
        if text:
            headers.append(("OC-Checksum", text))

    def move_recursive(self, dest_path: str) -> None:
        source = Path(self._file_path)
        super().move_recursive(dest_path)
        self.provider.state.moved(source, Path(self.provider._loc_to_file_path(dest_path, self.environ)))


class _Folder(FolderResource):
    def get_property_value(self, name: str) -> Any:
        return "RGDNVCK" if name == f"{OC}permissions" else super().get_property_value(name)

    def get_available_bytes(self) -> int:
        free = self.provider.state.free(self.environ["wsgidav.auth.user_name"])
        return -3 if free is None else free


class _Provider(FilesystemProvider):
    def __init__(self, state: State) -> None:
        super().__init__(str(state.root), fs_opts={"follow_symlinks": True})
        self.state = state

    def get_resource_inst(self, path: str, environ: Environ) -> Any:
        place = Path(self._loc_to_file_path(path, environ))
        if not self.state.is_found(place):
            return None
        return (_Folder if place.is_dir() else _File)(path, environ, str(place))


def dav_app(state: State, base: str) -> App:
    """Return the WebDAV server.

    Parameters
    ----------
    base
        Its path in addresses.
    """
    app = WsgiDAVApp({
        "provider_mapping": {"/": _Provider(state)},
        "mount_path": base,
        "middleware_stack": [ErrorPrinter, RequestResolver],
        "logging": {"enable": False},
        "verbose": 0,
        "block_size": 2**16,
        "property_manager": None,
        "lock_storage": True,
    })  # fmt: skip

    def run(environ: Environ, start: Start) -> Iterable[bytes]:
        return _with_errors_of_nextcloud(app, environ, start)

    return run


def _with_errors_of_nextcloud(app: App, environ: Environ, start: Start) -> Iterable[bytes]:
    said: dict[str, Any] = {}

    def keep(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        said.update(status=status, headers=headers)
        if int(status[:3]) < 400:
            start(status, headers)

    body = iter(app(environ, keep))
    first = next(body, b"")
    if int(said["status"][:3]) < 400:
        yield first
        yield from body
        return
    list(body)
    yield from refusal(int(said["status"][:3]), said["status"][4:]).send(start)
