"""Backends: their contract, and choose(), which returns the fastest one that takes a layer.

A backend is a module with two functions:

    refuses(spec, budget)  None, or the reason why this backend can't run the layer
    prepare(spec, budget)  a plan: pack weights, make tables, once

where budget is the most bytes that packed weights may take, or None,

and a plan has

    scratch_bytes  bytes of scratch memory that a run needs, owned by the caller
    weight_bytes   bytes of packed weights and per-channel parameters
    typed          True if run wants buffers viewed as spec.dtype and spec.out_dtype
    run(x, out, scratch)   compute the layer; x and out are checked buffers, scratch an
                   array("i") of scratch_bytes. Allocates nothing.

Operators without weights (ops/) have a module of their own in each backend that takes them, `<backend>_ops`. The
contract is the same but for run(sources, out): several inputs, no scratch.

`out` equals the reference bit for bit. A backend that this firmware can't run fails when its module is imported;
the reason is kept for `ucorr.info()`. An error that may not come again (no memory, a disk's error, Ctrl-C) is never
kept: it is raised, and the next layer tries again.
"""

import sys

from ..arguments import one_of
from ..heap import Tidy, collect, forget

NAMES = ("thumb", "viper", "portable")  # the fastest first

_reasons = {}  # name -> why this firmware has no such module
registered = {}  # name -> object used in place of a module: an emulated core's, a user's own


def register(name, module):
    """Register a module with the contract above as a backend, or as `<backend>_ops` of one. A new name comes last in
    NAMES."""
    global NAMES
    if name not in NAMES and not name.endswith("_ops"):
        NAMES = NAMES + (name,)
    registered[name] = module


def probe(name):
    """The module of a backend, `<backend>_ops` or "thumb_code", or a str saying why there is none here.

    raises MemoryError, OSError, or ImportError of a file of this package: errors that may not come again
    """
    found = registered.get(name) or _reasons.get(name)
    if found:
        return found
    full = __name__ + "." + name
    try:
        if full in sys.modules:
            module = __import__(full, None, None, (name,))
        else:
            with Tidy():
                module = __import__(full, None, None, (name,))
        # another thread's import of it may have failed while this one waited for it
        return module if sys.modules.get(full) is module else probe(name)
    except (ImportError, SyntaxError, ValueError, NotImplementedError) as error:
        reason = _named(error)
        # The package is complete: if one of its own files is missing, the file system failed. A module that the
        # firmware lacks is named in the message.
        if isinstance(error, ImportError) and ("ucorr" in reason or "named" not in reason):
            raise
        _reasons[name] = reason
        return reason


def state(name):
    """What info() says of a backend: "ok", or the reason why probe() has no module, here or now."""
    try:
        module = probe(name)
    except (MemoryError, OSError, ImportError) as error:
        return _named(error)
    return module if isinstance(module, str) else "ok"


def _named(error):
    return "%s: %s" % (type(error).__name__, error)


def choose(spec, backend=None, budget=None, names=None):
    """(name, plan) of the fastest backend of `names` that takes the layer, or of the one asked for.

    raises ValueError when the backend asked for is unknown, absent here or refuses the layer; MemoryError, with the
           modules that it imported dropped, when a backend lacks memory: no slower one is tried then
    """
    if backend is not None:
        backend = one_of("backend", backend, NAMES)
    known = list(sys.modules)
    for name in (names or NAMES) if backend is None else (backend,):
        try:
            module = probe(name + spec.family)
            reason = module if isinstance(module, str) else module.refuses(spec, budget)
            if reason is None:
                collect()  # the plan stays allocated: place it at the low end of the heap
                return name, module.prepare(spec, budget)
        except ValueError as error:  # refuses() did not foresee it: the next backend is tried all the same
            reason = str(error)
        except MemoryError as error:
            forget(known)
            raise MemoryError("backend: %r has no room (%s), wanted more, or another backend" % (name, error))
        except (OSError, ImportError, KeyboardInterrupt):
            forget(known)
            raise
        if backend is not None:
            raise ValueError("backend: %r can't run here (%s), wanted another" % (backend, reason))
    raise ValueError("backend: none takes this layer (%s)" % reason)  # portable takes all of them
