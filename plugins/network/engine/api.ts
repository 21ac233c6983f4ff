/** Calls of an engine's HTTP API on a unix socket: one reply as JSON, or the stream of events. Docker's and Podman's are alike here. */
import { Agent, type IncomingMessage, request } from 'node:http';

const timeoutMs = 10_000;
/** An event or a reply that is longer is not one of ours. */
const maxLineBytes = 1 << 20;

export class EngineApi {
  readonly socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** The parsed body of a 200 reply; undefined for 404. Rejects for everything else. */
  get(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = request(
        { socketPath: this.socketPath, path, agent: this.#agent, timeout: timeoutMs },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            if (response.statusCode === 404) resolve(undefined);
            else if (response.statusCode !== 200)
              reject(new Error(`GET ${path}: status ${response.statusCode}: ${text.trim()}`));
            else {
              try {
                resolve(JSON.parse(text));
              } catch (error) {
                reject(error);
              }
            }
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error(`GET ${path}: no reply in ${timeoutMs / 1000} s`)));
      call.on('error', reject);
      call.end();
    });
  }

  /**
   * Follows the events of containers and networks until the connection ends (resolves) or fails (rejects). `onOpen` is called when the
   * engine has begun to send: what happens from then on is not missed.
   */
  events(onOpen: () => void, onEvent: (event: unknown) => void, signal: AbortSignal): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ type: ['container', 'network'] }));
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.socketPath, path: `/events?filters=${filters}`, signal }, (response) => {
        if (response.statusCode !== 200) {
          response.resume();
          reject(new Error(`GET /events: status ${response.statusCode}`));
          return;
        }
        onOpen();
        readLines(response, onEvent);
        response.on('error', reject);
        response.on('close', () => resolve());
      });
      call.on('error', reject);
      call.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function readLines(response: IncomingMessage, onEvent: (event: unknown) => void): void {
  let rest = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '') continue;
      try {
        onEvent(JSON.parse(line));
      } catch {
        // A line that is no JSON says nothing; the next full look repairs what it may have meant.
      }
    }
    if (rest.length > maxLineBytes) response.destroy(new Error('an event without end'));
  });
}
