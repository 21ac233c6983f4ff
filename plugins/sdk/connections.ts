/**
 * The open connections of a server, and which of them have a request running. Node closes idle connections only after their
 * first request; one that was opened and never used would hold up the end of the server.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export class Connections {
  /** Requests running on each. */
  readonly #running = new Map<Socket, number>();
  #closing = false;

  constructor(server: Server) {
    server.on('connection', (socket) => this.#add(socket));
    server.on('secureConnection', (socket: Socket) => this.#add(socket));
    server.on('request', (request, response) => {
      const { socket } = request;
      this.#running.set(socket, (this.#running.get(socket) ?? 0) + 1);
      response.once('close', () => this.#ended(socket));
    });
  }

  /** Closes each connection when nothing runs on it, now or later. */
  close(): void {
    this.#closing = true;
    for (const [socket, running] of this.#running) if (running === 0) socket.destroy();
  }

  #add(socket: Socket): void {
    this.#running.set(socket, 0);
    socket.once('close', () => this.#running.delete(socket));
  }

  #ended(socket: Socket): void {
    const running = (this.#running.get(socket) ?? 1) - 1;
    if (this.#running.has(socket)) this.#running.set(socket, running);
    // The answer is on its way: end() sends what is left before it closes.
    if (this.#closing && running === 0) socket.end();
  }
}
