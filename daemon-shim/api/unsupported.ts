/** What other engines do and this one does not: each answer says so, and what to do instead. */
import type { FastifyInstance } from 'fastify';
import { formatReference } from '../image/reference.ts';
import { type ApiError, notFound, notSupported } from './api-error.ts';

const noSwarm = 'this engine has no swarm: run the containers with docker run or docker compose';
const loadInstead = 'load images instead: docker save IMAGE | docker load';
const noBuilds = `this engine builds no images; build where there is Docker and ${loadInstead}`;

/** What `pull` asks for. */
export function pulledName(image: string, tag: string): string {
  const separator = tag.startsWith('sha256:') ? '@' : ':';
  return formatReference(tag === '' || image.includes('@') ? image : `${image}${separator}${tag}`);
}

/** Also what `docker run` shows when it does not find the image. */
export function pullRefused(name: string): ApiError {
  return notSupported(
    `${name} is not on this host, and this engine pulls from no registry: on a host that has it run "docker save ${name}", here "docker load"`,
  );
}

/** The connections that a client of BuildKit wants to make its own. */
export function buildRefused(path: string): ApiError | undefined {
  return path === '/grpc' || path === '/session' ? notSupported(noBuilds) : undefined;
}

export function unsupportedRoutes(app: FastifyInstance): void {
  const refuse = (methods: readonly ('GET' | 'POST' | 'DELETE')[], url: string, message: string) =>
    app.route({
      method: [...methods],
      url,
      handler: () => {
        throw notSupported(message);
      },
    });
  for (const url of ['/build', '/build/cancel', '/session', '/grpc']) refuse(['POST'], url, noBuilds);
  refuse(['GET'], '/images/search', `this engine searches no registry; ${loadInstead}`);
  refuse(['POST'], '/auth', `this engine talks to no registry: there is nothing to log in to; ${loadInstead}`);
  refuse(['GET'], '/distribution/*', `this engine talks to no registry; ${loadInstead}`);
  for (const noun of ['swarm', 'services', 'nodes', 'tasks', 'secrets', 'configs']) {
    for (const url of [`/${noun}`, `/${noun}/*`]) refuse(['GET', 'POST', 'DELETE'], url, noSwarm);
  }
  const noManaged =
    "this engine has no managed plugins: start the plugin's own program, it is found by its socket in the plugin directory";
  refuse(['POST', 'DELETE'], '/plugins/*', noManaged);
  // `docker plugin install` begins with it.
  refuse(['GET'], '/plugins/privileges', noManaged);
  // Also asked by `docker inspect NAME`, after everything else that could have that name.
  app.get('/plugins/:name/json', ({ params }) => {
    const { name } = params as { name: string };
    throw notFound(`plugin "${name}" not found: ${noManaged}`);
  });
  // `docker plugin ls` and `docker system prune` ask for these: there is nothing, and that is a proper answer.
  app.get('/plugins', () => []);
  app.post('/build/prune', () => ({ CachesDeleted: null, SpaceReclaimed: 0 }));
}
