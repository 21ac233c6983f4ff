/** An upstream for lab scripts: `dns-upstream.ts PORT ADDRESS` answers every question with the address, `… PORT silent` none. */
import { createSocket } from 'node:dgram';
import dns2 from 'dns2';

const [port = '', address = ''] = process.argv.slice(2);
const { Packet } = dns2;

if (address === 'silent') {
  createSocket('udp4').bind(Number(port), '127.0.0.1');
} else {
  const server = dns2.createServer({
    udp: true,
    handle: (request, send) => {
      const reply = Packet.createResponseFromRequest(request);
      const [question] = request.questions;
      if (question !== undefined && question.type === Packet.TYPE.A) {
        reply.answers.push({
          name: question.name,
          type: Packet.TYPE.A,
          class: Packet.CLASS.IN,
          ttl: 60,
          address,
        } as never);
      }
      send(reply);
    },
  });
  await server.listen({ udp: { port: Number(port), address: '127.0.0.1' } });
}
