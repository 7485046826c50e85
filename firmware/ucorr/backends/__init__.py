"""Backends: implementations of one contract, and the choice between them.

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

Layers without weights (ops.py) have a module of their own in each backend that takes them, `<backend>_ops`. The
contract is the same but for run(sources, out): several inputs, no scratch.

`out` equals the reference bit for bit. A backend that this firmware can't run
fails when its module is imported; the reason is kept for `ucorr.info()`.
"""

from ..heap import Tidy, collect

NAMES = ("thumb", "viper", "portable")  # the fastest first

_modules = {}  # name -> module, or the reason why there is none


def _import(name):
    if name == "thumb":
        from . import thumb as module
    elif name == "thumb_code":
        from . import thumb_code as module
    elif name == "viper":
        from . import viper as module
    elif name == "portable":
        from . import portable as module
    elif name == "thumb_ops":
        from . import thumb_ops as module
    elif name == "viper_ops":
        from . import viper_ops as module
    else:
        from . import portable_ops as module
    return module


def probe(name):
    """The module of a backend, `<backend>_ops` or "thumb_code", or a str saying why there is none here; tried once."""
    if name not in _modules:
        try:
            with Tidy():
                _modules[name] = _import(name)
        except (ImportError, SyntaxError, ValueError, NotImplementedError, MemoryError) as error:
            _modules[name] = "%s: %s" % (type(error).__name__, error)
    return _modules[name]


def choose(spec, backend=None, budget=None, names=NAMES):
    """(name, plan) of the fastest backend of `names` that takes the layer, or of the one asked for.

    raises ValueError when the backend asked for is unknown, absent here or refuses the layer
    """
    if backend is not None and backend not in NAMES:
        raise ValueError("backend: %r, wanted one of %s" % (backend, " ".join(NAMES)))
    for name in names if backend is None else (backend,):
        module = probe(name + spec.family)
        reason = module if isinstance(module, str) else module.refuses(spec, budget)
        if reason is None:
            collect()  # what is made now stays: let it lie low in the heap
            return name, module.prepare(spec, budget)
        if backend is not None:
            raise ValueError("backend: %r can't run here (%s), wanted another" % (backend, reason))
    raise ValueError("backend: none takes this layer")  # portable takes all of them
