// A Socket.IO server on a free port: it brings each event `say` to all as `said`, acknowledges it, asks
// the sender for an acknowledgement of its own, and counts what it got and sent.
const { createServer } = require("http");
const { Server } = require("socket.io");
const serve = require("./serve.js");

const counts = { connections: 0, said: 0, delivered: 0, acknowledged: 0, pings: 0, pongs: 0, asked: 0, answered: 0 };
const http = createServer();
const io = new Server(http, { pingInterval: 400, pingTimeout: 3000, transports: ["websocket"] });

io.on("connection", (socket) => {
  counts.connections += 1;
  socket.conn.on("packet", (packet) => {
    if (packet.type === "pong") counts.pongs += 1;
  });
  socket.conn.on("packetCreate", (packet) => {
    if (packet.type === "ping") counts.pings += 1;
    if (packet.type === "message" && packet.data.startsWith('2["said"')) counts.delivered += 1;
  });
  socket.on("say", (message, acknowledge) => {
    counts.said += 1;
    counts.asked += 1;
    socket.emit("ready?", () => (counts.answered += 1));
    io.emit("said", message);
    counts.acknowledged += 1;
    acknowledge({ ok: true });
  });
});

serve(http, counts, () => io.engine.clientsCount);
