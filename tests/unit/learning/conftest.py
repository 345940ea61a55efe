"""Before TensorFlow is imported: networks of tests are so small that handing their operations to other threads costs most of it."""

from __future__ import annotations

import os

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
