// The `ws` package as an application would use it, for the same clients as the hub and the floor:
// who subscribes gets every publish. node peer_ws.mjs PATH-OF-THE-PACKAGE
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(import.meta.url)(process.argv[2]);
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
const subscribers = new Set();
let offset = 0;

function publish({ channel, event, data }) {
  offset += 1;
  const time = new Date().toISOString();
  const text = JSON.stringify({ type: 'event', channel, event, data, offset, time });
  for (const socket of subscribers) socket.send(text);
}

function subscribe(socket, { id, channels }) {
  subscribers.add(socket);
  socket.send(JSON.stringify({ type: 'subscribed', id, channels: [{ channel: channels[0], offset }] }));
}

sockets.on('connection', (socket) => {
  socket.on('message', (bytes) => {
    const frame = JSON.parse(bytes);
    if (frame.type === 'publish') publish(frame);
    else if (frame.type === 'subscribe') subscribe(socket, frame);
    else if (frame.type === 'call')
      socket.send(JSON.stringify({ type: 'result', id: frame.id, result: { status: 'success' } }));
  });
  socket.on('close', () => subscribers.delete(socket));
  socket.on('error', () => {});
});

server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`ready http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => process.exit(0));
