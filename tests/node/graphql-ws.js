// A GraphQL server over WebSocket (graphql-transport-ws) on a free port: a mutation `say` and a
// subscription `said`. It sends protocol pings, and counts what it got and sent.
const { createServer } = require("http");
const { WebSocketServer } = require("ws");
const { buildSchema } = require("graphql");
const { useServer } = require("graphql-ws/lib/use/ws");
const serve = require("./serve.js");

const counts = { connections: 0, subscriptions: 0, said: 0, delivered: 0, pings: 0, pongs: 0 };
const schema = buildSchema(`
  type Message { text: String! m: String }
  type Query { ok: Boolean }
  type Mutation { say(text: String!, m: String): Boolean! }
  type Subscription { said: Message! }
`);
const listeners = new Set();

async function* listen() {
  const waiting = [];
  let wake = () => {};
  const take = (message) => {
    waiting.push(message);
    wake();
  };
  listeners.add(take);
  counts.subscriptions += 1;
  try {
    for (;;) {
      while (waiting.length > 0) yield { said: waiting.shift() };
      await new Promise((resolve) => (wake = resolve));
    }
  } finally {
    listeners.delete(take);
  }
}

schema.getSubscriptionType().getFields().said.subscribe = listen;
schema.getMutationType().getFields().say.resolve = (_, message) => {
  counts.said += 1;
  for (const take of listeners) take(message);
  return true;
};

const http = createServer();
const server = new WebSocketServer({ server: http, path: "/graphql" });
useServer({ schema, onNext: (_, message) => void (counts.delivered += message.id === "news" ? 1 : 0) }, server, 0);
server.on("connection", (socket) => {
  counts.connections += 1;
  const ping = () => {
    counts.pings += 1;
    socket.send('{"type":"ping"}');
  };
  const timer = setInterval(ping, 400);
  socket.on("message", (data) => {
    if (JSON.parse(data).type === "pong") counts.pongs += 1;
  });
  socket.on("close", () => clearInterval(timer));
});

serve(http, counts, () => server.clients.size);
