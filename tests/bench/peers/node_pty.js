// Programs on node-pty terminals, each one's bytes piped into its file: node node_pty.js '[{"argv": [...], "log": "..."}]'
"use strict";
const fs = require("fs");
const pty = require("node-pty");

for (const { argv, log } of JSON.parse(process.argv[2])) {
  const file = fs.createWriteStream(log);
  const terminal = pty.spawn(argv[0], argv.slice(1), { cols: 200, rows: 50, encoding: null });
  terminal.onData((bytes) => {
    if (file.write(bytes)) return;
    terminal.pause();
    file.once("drain", () => terminal.resume());
  });
}
setInterval(() => {}, 1 << 30); // the harness ends us
