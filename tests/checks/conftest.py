"""Tests of the checks share the worlds they are tried on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
