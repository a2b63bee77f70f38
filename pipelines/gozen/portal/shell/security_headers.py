"""The headers by which browsers protect the pages: no scripts, no frames, no foreign sources."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_POLICY = {
    "default-src": "'none'",  # pages have no script at all
    "style-src": "'self'",
    "img-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Not no-referrer: browsers would then send forms with `Origin: null`.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
)
"""Headers of every answer."""
OVER_TLS: Mapping[str, str] = MappingProxyType({"Cross-Origin-Opener-Policy": "same-origin"})
"""Further headers, which browsers obey only over TLS and complain of without it."""
PRIVATE = "no-store"
"""Cache-Control of pages: they are for one user."""
PUBLIC = "public, max-age=3600"
"""Cache-Control of static files."""
