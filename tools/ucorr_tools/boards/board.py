"""A MicroPython board on a serial port: run code there, ask what it is; its files are in board_files.py.

The only home of mpremote, which is used as a library and brings the raw REPL,
nothing else. Added here: every wait has an end, whatever the port does; a
port is held by one user at a time; and whatever goes wrong is one BoardError
with one sentence for a person.
"""

import ast
import base64
import collections
import contextlib
import os
import stat
import struct
import time

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from .board_files import CHUNK, EXEC_SECONDS, BoardError, Files, literal

OLDEST = (1, 23)
CONNECT_SECONDS = 8.0

# sys.implementation._mpy, bits 10..13 (docs/reference/mpyfiles): the names that mpy-cross accepts after -march=.
ARCHITECTURES = (
    None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp",
    "xtensa", "xtensawin", "rv32imc", "rv64imc",
)  # fmt: skip

EMITTERS = {
    "viper": "@micropython.viper\ndef f(a: int) -> int:\n return a\n",
    "native": "@micropython.native\ndef f(a):\n return a\n",
    "asm_thumb": "@micropython.asm_thumb\ndef f(r0):\n mov(r0, r0)\n",
    "asm_xtensa": "@micropython.asm_xtensa\ndef f(a2):\n mov(a2, a2)\n",
    "asm_rv32": "@micropython.asm_rv32\ndef f(a0):\n mv(a0, a0)\n",
}

FETCH = """
import binascii
m = memoryview({expression})
for i in range(0, len(m), 192):
    print(binascii.b2a_base64(m[i:i + 192]).decode(), end='')
"""

# A serial line has no checksum, and one wrong letter in a path names another file. The check value detects any one
# wrong byte and stays a small int; printing it proves that the code ran.
CHECKED = """
code = {code}
check = 0
for c in code.encode():
    check = (check * 31 + c) % 65521
if check != {check}:
    raise ValueError('a command arrived damaged')
exec(code)
print({check})
"""

# what mpremote raises when it parses an answer that is none
NONSENSE = (TransportError, struct.error, ValueError, SyntaxError, TypeError)


class _Late(TransportError):
    """The time limit of an operation passed."""


class _Gone(TransportError):
    """The port failed: unplugged, or its other end hung up."""


class _Line:
    """The serial port as mpremote sees it, with a deadline: mpremote's own waits can last for ever when a
    port is silent or never is, and all of them end up in one of these calls."""

    def __init__(self, port, gone):
        self.port = port
        self.gone = gone
        self.port.timeout = 0.1
        self.port.write_timeout = 5
        self.deadline = 0.0
        # the last bytes, for who asks what a board said at its end
        self.heard: collections.deque[int] = collections.deque(maxlen=4096)

    def __getattr__(self, name):
        return getattr(self.port, name)

    def _check(self):
        if time.monotonic() > self.deadline:
            raise _Late

    def read(self, size=1):
        """Exactly `size` bytes."""
        data = b""
        while len(data) < size:
            self._check()
            try:
                part = self.port.read(size - len(data))
            except OSError as error:
                raise _Gone from error
            self.heard.extend(part)
            data += part
            if not part and self.gone is not None and self.gone():
                raise _Gone
        return data

    def inWaiting(self):
        self._check()
        try:
            return self.port.in_waiting
        except OSError as error:
            raise _Gone from error

    def write(self, data):
        self._check()
        try:
            return self.port.write(data)
        except serial.SerialTimeoutException as error:
            raise _Late from error
        except OSError as error:
            raise _Gone from error


class Board(Files):
    """A board, connected, its raw REPL entered (which stops a program that runs there).

    port        name of a serial port, or a URL that mpremote opens
    soft_reset  first empty the board's heap and stop its timers; boot.py runs, main.py doesn't. Without:
                what was imported stays, as does a file system mounted by hand
    gone        a function, called whenever the board is silent for a moment; where it returns True, the board counts
                as vanished. For a caller that runs an emulated board and sees it die

    Refused with BoardError, within 15 s: a port that is missing, held by someone else or not allowed; no
    MicroPython after it; MicroPython older than 1.23. Leaving the context frees the port.

    platform, version (a tuple of ints), mpy (sys.implementation._mpy) are known from the start.
    """

    def __init__(self, port, *, soft_reset=False, gone=None):
        self.port = port
        self._gone = gone
        self._open()
        try:
            self._enter(soft_reset, CONNECT_SECONDS)
            self._identify()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _open(self):
        if not self.port.strip():
            raise BoardError(f"port: {self.port!r}, wanted the name of a serial port, such as /dev/ttyACM0")
        try:
            # exclusive: pyserial takes flock() on the port, as every mpremote does
            self._transport = SerialTransport(self.port, exclusive=True)
        except (TransportError, OSError, ValueError) as error:
            raise BoardError(_why_closed(self.port)) from error
        self._line = self._transport.serial = _Line(self._transport.serial, self._gone)
        self.alive = True

    def _enter(self, soft_reset, seconds):
        """Stop the running program and enter the raw REPL."""
        with self._within(seconds, "entering the raw REPL"):
            try:
                self._raw_repl(soft_reset)
            except _Late:
                said = "prints, but not MicroPython's prompt" if self._line.heard else "says nothing"
                raise BoardError(f"no MicroPython on {self.port}: it {said} within {seconds:g} s") from None

    def _raw_repl(self, soft_reset):
        """Enter the raw REPL as mpremote does, then test it: the late banner of an interrupted session can be taken
        for the requested one, and then each answer read is that of the command before."""
        self._transport.use_raw_paste = True
        self._transport.enter_raw_repl(soft_reset=soft_reset)
        try:
            self._transport.exec("")
        except (_Late, _Gone):
            raise
        except NONSENSE:  # by now the late output has been read
            self._transport.use_raw_paste = True
            self._transport.enter_raw_repl(soft_reset=False)

    def _identify(self):
        name, self.version, self.mpy, self.platform = self.eval(
            "(lambda s: (s.implementation[0], s.implementation[1][:3],"
            " getattr(s.implementation, '_mpy', 0), s.platform))(__import__('sys'))",
            seconds=3,
        )
        if name != "micropython":
            raise BoardError(f"the board on {self.port} runs {name}, not MicroPython")
        if self.version[:2] < OLDEST:
            raise BoardError(
                f"the board on {self.port} runs MicroPython {dotted(self.version)};"
                f" ucorr needs {dotted(OLDEST)} or later"
            )

    @contextlib.contextmanager
    def _within(self, seconds, doing):
        """Give an operation `seconds`, and turn each way it can fail into a BoardError."""
        if not self.alive:
            raise BoardError(f"the board on {self.port} is no longer connected")
        self._line.deadline = time.monotonic() + seconds
        try:
            yield
        except _Late:
            self.recover()
            raise BoardError(f"the board on {self.port}: {doing} took longer than {seconds:g} s") from None
        except _Gone as error:
            self.alive = False
            raise BoardError(f"the board on {self.port} vanished: {doing} failed") from error
        except NONSENSE as error:
            raise BoardError(f"the board on {self.port} stopped answering as MicroPython does: {error}") from error

    def last_words(self):
        """The last bytes that came from the board, whatever they were, as text."""
        return bytes(self._line.heard).decode(errors="replace")

    def soft_reset(self):
        """Empty the heap and stop timers; boot.py runs, main.py doesn't."""
        self._enter(True, CONNECT_SECONDS)

    def recover(self):
        """Stop what runs and find the prompt again, in whatever state an exception left the conversation;
        False: the board is lost."""
        if self.alive:
            self._line.deadline = time.monotonic() + 3
            try:
                self._raw_repl(soft_reset=False)
            except (*NONSENSE, OSError):
                self.alive = False
        return self.alive

    def close(self):
        """Leave the raw REPL and free the port; nothing is raised."""
        self._line.deadline = time.monotonic() + 1
        with contextlib.suppress(TransportError, OSError):
            if self.alive:
                self._transport.exit_raw_repl()
        self._transport.serial = self._line.port  # mpremote sets attributes of it, RTS and DTR
        with contextlib.suppress(OSError):
            self._transport.close()
        self._line.port.close()
        self.alive = False

    # Code

    def exec(self, code, *, seconds=EXEC_SECONDS, on_output=None, doing="running code"):
        """Run Python on the board; returns what it printed, str with \\n line ends.

        seconds    time limit; past it the code is interrupted
        on_output  called with bytes as they come, instead of collecting them
        doing      what that is, for the sentence of an error
        BoardError with .traceback when the code raises.
        """
        with self._within(seconds, doing):
            # mpremote hands the end mark 0x04 to the consumer as well
            consumer = on_output and (lambda data: data == b"\x04" or on_output(data))
            out, err = self._transport.exec_raw(code, timeout=None, data_consumer=consumer)
        if err:
            raise _from_traceback(doing, err.decode(errors="replace"))
        return "" if on_output else out.decode(errors="replace").replace("\r\n", "\n")

    def exec_checked(self, code, *, doing="running code"):
        """Run code that prints nothing, only if it arrived as it was sent."""
        check = 0
        for byte in code.encode():
            check = (check * 31 + byte) % 65521
        said = self.exec(CHECKED.format(code=literal(code), check=check), doing=doing).strip()
        if said != str(check):
            raise BoardError(f"the board on {self.port} did not confirm a command")

    def eval(self, expression, *, seconds=EXEC_SECONDS):
        """The value of an expression on the board, made of ints, str, bytes, tuples, lists, dicts…"""
        text = self.exec(f"print(repr({expression}))", seconds=seconds)
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            raise BoardError(f"the board answered {expression!r} with {text.strip()!r}, no plain value") from None

    def fetch(self, expression, *, seconds=EXEC_SECONDS):
        """The bytes of a buffer on the board (bytes, bytearray, array, memoryview), little endian items."""
        return base64.b64decode(self.exec(FETCH.format(expression=expression), seconds=seconds))

    def send(self, name, data, *, seconds=EXEC_SECONDS):
        """Make a global bytearray `name` on the board that holds `data`, bytes."""
        self.exec(f"import binascii\n{name} = bytearray({len(data)})", seconds=seconds)
        for at in range(0, len(data), CHUNK):
            part = base64.b64encode(data[at : at + CHUNK]).decode()
            self.exec(f"{name}[{at}:{at + CHUNK}] = binascii.a2b_base64('{part}')", seconds=seconds)

    # What it is

    @property
    def arch(self):
        """The -march= of native code for this board; None where it loads none."""
        number = self.mpy >> 10 & 15
        return ARCHITECTURES[number] if number < len(ARCHITECTURES) else None

    def emits(self, name):
        """Whether the board compiles functions of an emitter (a key of EMITTERS), found by trying one."""
        try:
            self.exec("import micropython\n" + EMITTERS[name])
        except BoardError as error:
            if not error.traceback:
                raise
            return False
        return True

    def probe(self):
        """What the board is, as a dict that JSON can hold: port, machine, platform, micropython (version), mpy, arch,
        emitters, free_heap and free_flash (bytes; None: unknown)."""
        free = self.free(self.eval("__import__('os').getcwd()"))  # the root is no file system on some
        return {
            "port": self.port,
            "machine": self.eval("getattr(__import__('sys').implementation, '_machine', '')"),
            "platform": self.platform,
            "micropython": dotted(self.version),
            "mpy": self.mpy,
            "arch": self.arch,
            "emitters": [name for name in EMITTERS if self.emits(name)],
            "free_heap": self.eval("(lambda gc: (gc.collect(), gc.mem_free())[1])(__import__('gc'))"),
            "free_flash": free and free[0],
        }


def dotted(version):
    """(1, 23) -> "1.23"."""
    return ".".join(str(part) for part in version)


def _why_closed(port):
    """Why a port could not be opened, as far as the host's file system says."""
    if port.startswith("/"):
        if not os.path.exists(port):
            return f"there is no port {port}"
        if not stat.S_ISCHR(os.stat(port).st_mode):
            return f"{port} is no serial port"
        if not os.access(port, os.R_OK | os.W_OK):
            return f"no permission for {port} (on Linux: join its group, often dialout)"
        return f"{port} is in use by another program"
    return f"{port} can't be opened: it is missing or in use by another program"


def _from_traceback(doing, text):
    """A BoardError from the board's traceback; its last line is the sentence."""
    lines = text.strip().splitlines()
    last = lines[-1] if lines else "an exception without a message"
    number = None
    if last.startswith("OSError:"):
        digits = "".join(c for c in last.split("]")[0] if c.isdigit())
        number = int(digits) if digits else None
    return BoardError(f"{doing} on the board raised {last}", traceback=text, errno=number)
