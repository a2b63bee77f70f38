"""``python -m tests.cluster.images_ahead``: build the images for the tests on the node while other tests run.

The observer's image is built first, because the first test on the node needs it.
"""

from __future__ import annotations

import os
import sys

from .own_images import own_image
from .platform_images import platform_image
from .tools import ToolMissingError


def main() -> int:
    """Build both, if root runs this; return the exit code."""
    if os.geteuid() != 0:
        return 0
    try:
        own_image("observer")
        platform_image()
    except ToolMissingError as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
