"""For the exercises whose check runs in the process of the answer: has the answer changed what it is checked with?

What the modules of the check, of the course, of Python's builtins and of torch's public names hold is remembered
before any code of a student runs, by identity, and looked at again afterwards. While the check runs, code of the answer
may not look at the frames of its callers, nor for objects that it was not given. Code that is set on it can still get
by: docs/grading.md says so.
"""

import builtins
import sys
import types
from contextlib import contextmanager, nullcontext

_WATCHED = ("course", "helpers")
_LIBRARIES = ("builtins", "math", "random", "operator", "copy", "types", "inspect", "torch", "torch.nn", "numpy",
              "torch.nn.functional", "torch.testing", "torch.Tensor")  # fmt: skip
_FORBIDDEN = {
    "sys._getframe", "sys._current_frames", "sys.settrace", "sys.setprofile", "gc.get_objects", "gc.get_referrers",
    "gc.get_referents", "ctypes.dlopen", "object.__setattr__", "object.__delattr__",
}  # fmt: skip

_OF_TORCH_ITSELF = {"torch.manual_seed"}  # which torch replaces when its compiler is first loaded

_MORE = (".__code__", ".__defaults__")
_remembered: dict = {}
_on = False
_hooked = False
_asking = False


def remember() -> None:
    """Remember how everything is, once, and listen from now on."""
    global _hooked
    _remembered.update(_present())
    if not _hooked:
        _hooked = True
        sys.addaudithook(_listen)


def changed() -> str:
    """What is not as it was, by name; "" if all is, or nothing was remembered."""
    now = _present() if _remembered else {}
    names = _remembered.keys() - {f"{name}{more}" for name in _OF_TORCH_ITSELF for more in ("", *_MORE)}
    return next((name for name in sorted(names) if now.get(name) is not _remembered[name]), "")


@contextmanager
def watching():
    """While a check runs."""
    global _on
    torch = sys.modules.get("torch")
    # A tensor of a class of the answer's own could say that it is close to everything.
    without_subclasses = torch._C.DisableTorchFunctionSubclass() if torch else nullcontext()
    _on = True
    try:
        with without_subclasses:
            yield
    finally:
        _on = False


def _present() -> dict:
    """By name, the functions and classes of the modules that are watched, and the code of the functions."""
    found = {}
    modules = [name for name in sys.modules if name.split(".")[0] in _WATCHED] + list(_LIBRARIES)
    for name in modules:
        module = sys.modules.get(name)
        if module is None and name == "torch.Tensor" and "torch" in sys.modules:
            module = sys.modules["torch"].Tensor
        for key, value in list(vars(module).items()) if module else ():
            if name.startswith(("course.classroom", "course.checks.kept")) and not callable(value):
                continue
            if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type | types.MethodDescriptorType):
                found[f"{name}.{key}"] = value
            if isinstance(value, types.FunctionType):
                found[f"{name}.{key}.__code__"] = value.__code__
                found[f"{name}.{key}.__defaults__"] = value.__defaults__
            if isinstance(value, type) and name.split(".")[0] in _WATCHED:
                for inner, member in list(vars(value).items()):
                    if callable(member):
                        found[f"{name}.{key}.{inner}"] = member
                        found[f"{name}.{key}.{inner}.__code__"] = getattr(member, "__code__", None)
    return found


def _listen(event: str, given: tuple) -> None:
    """Refuse an answer's own lines a few events, while its check runs."""
    global _asking
    if _on and not _asking and event in _FORBIDDEN:
        _asking = True  # to look is such an event itself
        try:
            frame = sys._getframe(1)
        finally:
            _asking = False
        if frame.f_code.co_filename.startswith(("<answer", "<another cell", "<string>")):
            raise builtins.PermissionError(f"an answer may not ask for {event}")
