"""The folder of the observed data: ``$GOZEN_TEST_DATA``, else ``../shared/data``, else ``test-data``.

``make test-data`` downloads the public part of the data into ``test-data``.
"""

import os
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]
_SHARED = _CHECKOUT.parent / "shared" / "data"
DATA = Path(os.environ.get("GOZEN_TEST_DATA", _SHARED if _SHARED.exists() else _CHECKOUT / "test-data")).absolute()
