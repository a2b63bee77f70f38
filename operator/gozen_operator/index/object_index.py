"""The operator's cache of the API server: the last known version of each object, and lists of index entries. No I/O.

It guards against two races. Events arrive late, twice or in the wrong order, while workers read: an older version never
replaces a newer one, a deleted object does not return, and one lock makes each answer describe a single moment. Each
write of the operator is stored here at once, so a reconcile sees it before the watch reports it. Objects are kept as
compact text and are parsed when they are read: ten thousand need 25 MB.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pydantic import ValidationError

from gozen.resources.metadata import Resource
from gozen_operator.index.index_entries import (
    IndexEntry,
    IndexKey,
    JobEntry,
    SortKey,
    entry_of,
    filed_under,
    job_entry_of,
)
from gozen_operator.index.indexed_object import IndexedObject, SeenResource
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.job_manifests import job_key
from gozen_operator.reconcile.object_fields import Key, Manifest, Owner, essential, key_of, parsed
from gozen_operator.reconcile.publish_manifests import job_names

# A late event brings back an object whose uid was dropped from here; the next resync forgets it again.
_TOMBSTONES = 4096
_MODELS = 512


class ObjectChange(NamedTuple):
    """The entry of an object before and after a change; None if the object did not exist or could not be read."""

    key: Key
    before: IndexEntry | None
    after: IndexEntry | None


class Index:
    """The last known version of each object of Gozen; several threads may use it."""

    def __init__(self) -> None:
        self._objects: dict[Key, IndexedObject] = {}
        self._listings: dict[IndexKey, list[SortKey]] = {}
        self._models: OrderedDict[Key, tuple[int, Resource]] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, manifest: Manifest) -> ObjectChange | None:
        """Store an object and return the change; None if the object is not newer than the stored one."""
        key, meta = key_of(manifest), manifest["metadata"]
        uid, version = meta["uid"], int(meta["resourceVersion"])
        with self._lock:
            if not self._is_news(key, uid, version):
                return None
            known = self._objects.get(key)
            # Deleted and created again: an event of the old one that is still to come must not bring it back.
            if known is not None and known.uid not in ("", uid):
                self._bury(known.uid)
            return self._replace(key, self._entry(key, uid, version, manifest))

    def remove(self, manifest: Manifest) -> ObjectChange | None:
        """Forget an object that was deleted and return the change; None if a new object with the same name exists."""
        key, uid = key_of(manifest), manifest["metadata"]["uid"]
        with self._lock:
            # First: a MODIFIED event of it may come after this one.
            self._bury(uid)
            known = self._objects.get(key)
            return None if known is not None and known.uid != uid else self._replace(key, None)

    def expect(self, manifest: Manifest) -> None:
        """Count a Job before it is created, so that no other reconcile uses its place among the active Jobs."""
        key = key_of(manifest)
        entry = job_entry_of({**manifest, "metadata": {**manifest["metadata"], "uid": ""}})
        with self._lock:
            if key not in self._objects:
                self._replace(key, IndexedObject("", 0, b"", entry))

    def give_up(self, key: Key, owner: Key | None) -> ObjectChange | None:
        """Remove a Job that was expected for a resource and has not been reported; return the change, or None."""
        with self._lock:
            known = self._objects.get(key)
            # It has a uid if the watch has reported it meanwhile: it was created, and only the answer was lost.
            if known is None or known.uid or not isinstance(known.entry, JobEntry):
                return None
            mine = known.entry.owner is not None and known.entry.owner.key == owner
            return self._replace(key, None) if mine else None

    def forget(self, key: Key, uid: str) -> ObjectChange | None:
        """Remove an object that a listing lacks; return the change.

        Nothing changes, and None is returned, if an object with its name was created since, or is expected.

        Parameters
        ----------
        uid
            The object's uid before the list request was sent.
        """
        with self._lock:
            known = self._objects.get(key)
            if known is None or not known.uid or known.uid != uid:
                return None
            self._bury(known.uid)
            return self._replace(key, None)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Return a context that locks the index, so that several reads show the same moment."""
        with self._lock:
            yield

    def seen(self, key: Key) -> SeenResource | None:
        """Return a resource and its Jobs as they are at this moment; None if the resource does not exist."""
        with self._lock:
            cached = self._objects.get(key)
            if cached is None:
                return None
            try:
                resource: Resource | ValidationError = self._model(key, cached)
            except ValidationError as error:
                resource = error
            names = job_names(resource) if isinstance(resource, Resource) else [job_key(key).name]
            jobs = [self.job_named(key.namespace, name) for name in names]
            states = tuple(
                (one.seen.uid, one.seen.finished)
                for one in jobs
                if one is not None and one.seen.uid and one.owner is not None and one.owner.key == key
            )
            return SeenResource(resource, cached.uid, str(cached.version), cached.text, states)

    def manifest(self, key: Key) -> dict[str, Any] | None:
        """Return the stored part of a resource's manifest, as plain data; None if the resource does not exist."""
        cached = self._objects.get(key)
        return None if cached is None else json.loads(cached.text)

    def resource(self, key: Key) -> Resource | None:
        """Return the model of a resource; None if the resource does not exist.

        Raises
        ------
        pydantic.ValidationError
            The resource is invalid for this version; another version of its schema has accepted it.
        """
        with self._lock:
            cached = self._objects.get(key)
            return None if cached is None else self._model(key, cached)

    def job_of(self, owner: Owner, name: str) -> JobSeen | None:
        """Return the Job that a resource owns, without the ends of its pods; None if there is none.

        A Job of another owner is ignored. An expected Job is ignored too, because its creation is not certain yet.
        """
        entry = self.job_named(owner.key.namespace, name)
        return entry.seen if entry is not None and entry.owner == owner and entry.seen.uid else None

    def job_named(self, namespace: str, name: str) -> JobEntry | None:
        """Return the entry of the Job with this name, of any owner; None if there is no such Job."""
        entry = self.entry(Key("Job", namespace, name))
        return entry if isinstance(entry, JobEntry) else None

    def entry(self, key: Key) -> IndexEntry | None:
        """Return the entry of an object; None if it is missing or invalid."""
        cached = self._objects.get(key)
        return None if cached is None else cached.entry

    def entries(self, kind: str) -> Iterator[tuple[Key, IndexEntry | None]]:
        """Return the keys and entries of all objects of a kind; the entry of an invalid object is None."""
        with self._lock:
            found = [(key, cached.entry) for key, cached in self._objects.items() if key.kind == kind]
        return iter(found)

    def keys(self, kind: str) -> list[Key]:
        """Return the keys of all objects of a kind."""
        return [key for key, _ in self.entries(kind)]

    def uids(self, kind: str) -> dict[Key, str]:
        """Return the uids of all objects of a kind by key; the uid of an expected Job is empty."""
        with self._lock:
            return {key: cached.uid for key, cached in self._objects.items() if key.kind == kind}

    def under(self, index_key: IndexKey, begin: SortKey = (), most: int | None = None) -> list[str]:
        """Return at most `most` names of a sorted list in their order, from a position on."""
        with self._lock:
            listing = self._listings.get(index_key, [])
            first = bisect_left(listing, begin)
            return [str(place[-1]) for place in listing[first : None if most is None else first + most]]

    def before(self, index_key: IndexKey, place: SortKey) -> int:
        """Return how many entries of a sorted list precede a position."""
        with self._lock:
            return bisect_left(self._listings.get(index_key, []), place)

    def count(self, index_key: IndexKey) -> int:
        """Return the number of entries of a sorted list of the index; 0 if it has no such list."""
        with self._lock:
            return len(self._listings.get(index_key, []))

    def _is_news(self, key: Key, uid: str, version: int) -> bool:
        known = self._objects.get(key)
        # Versions grow along all objects of a kind: an older one of this name is of an object that went before.
        return uid not in self._gone and (known is None or version > known.version)

    def _entry(self, key: Key, uid: str, version: int, manifest: Manifest) -> IndexedObject:
        if key.kind == "Job":
            return IndexedObject(uid, version, b"", job_entry_of(manifest))
        text = json.dumps(essential(manifest), separators=(",", ":")).encode()
        try:
            model = parsed(manifest)
        except ValidationError:
            return IndexedObject(uid, version, text, None)
        self._keep(key, version, model)
        return IndexedObject(uid, version, text, entry_of(model))

    def _model(self, key: Key, cached: IndexedObject) -> Resource:
        version, model = self._models.get(key, (-1, None))
        # The cached model may be of an earlier version, or of a deleted object of this name.
        if model is None or version != cached.version:
            model = parsed(json.loads(cached.text))
        self._keep(key, cached.version, model)
        return model

    def _keep(self, key: Key, version: int, model: Resource) -> None:
        """Keep the models that were used last."""
        self._models[key] = (version, model)
        self._models.move_to_end(key)
        while len(self._models) > _MODELS:
            self._models.popitem(last=False)

    def _replace(self, key: Key, cached: IndexedObject | None) -> ObjectChange:
        known = self._objects.pop(key, None)
        before, after = known.entry if known else None, cached.entry if cached else None
        if before != after:
            self._refile(key, before, after)
        if cached is None:
            self._models.pop(key, None)
        else:
            self._objects[key] = cached
        return ObjectChange(key, before, after)

    def _refile(self, key: Key, before: IndexEntry | None, after: IndexEntry | None) -> None:
        for index_key, place in filed_under(key, before) if before is not None else ():
            listing = self._listings[index_key]
            del listing[bisect_left(listing, place)]
            if not listing:
                del self._listings[index_key]
        for index_key, place in filed_under(key, after) if after is not None else ():
            insort(self._listings.setdefault(index_key, []), place)

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
