// MicroPython's WebAssembly build under node: `node webassembly.mjs MICROPYTHON.mjs PACKAGE_DIR BOARD_SIDE.py`.
// A line of JSON in, [message, input as hex]; a line of JSON out, [answer, output as hex].
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [library, folder, boardSide] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(library));
const mp = await loadMicroPython({ heapsize: 1 << 20, linebuffer: true, stdout: (line) => console.log(line) });

function copy(from, to) {
    mp.FS.mkdir(to);
    for (const entry of readdirSync(from, { withFileTypes: true })) {
        if (entry.isDirectory() && entry.name !== "__pycache__") copy(`${from}/${entry.name}`, `${to}/${entry.name}`);
        else if (entry.name.endsWith(".py")) mp.FS.writeFile(`${to}/${entry.name}`, readFileSync(`${from}/${entry.name}`));
    }
}

copy(folder, "/ucorr");
mp.FS.writeFile("/board_side.py", readFileSync(boardSide));
mp.runPython(`
import sys
sys.path.append("/")
import json
from board_side import answer_to

def reply(line):
    message, payload = json.loads(line)
    answer, data = answer_to(message, bytes.fromhex(payload))
    print(json.dumps([answer, bytes(data).hex()]))
`);
for await (const line of createInterface({ input: process.stdin })) mp.runPython(`reply(${JSON.stringify(line)})`);
