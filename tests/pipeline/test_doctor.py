import importlib
import sys

from dfer.pipeline import doctor


def test_doctor_imports_torch_before_decord(monkeypatch):
    imported = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    monkeypatch.setitem(sys.modules, "decord", None)  # decoding a test video imports it too
    list(doctor.run_checks())
    assert imported.index("torch") < imported.index("decord")
