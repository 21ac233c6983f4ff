/** Names of ports for SRV records (`_http._tcp.web`): the usual ones of IANA's registry; every port also goes by its number. */

const names: Readonly<Record<string, readonly string[]>> = {
  '21/tcp': ['ftp'],
  '22/tcp': ['ssh'],
  '25/tcp': ['smtp'],
  '53/tcp': ['domain'],
  '53/udp': ['domain'],
  '69/udp': ['tftp'],
  '80/tcp': ['http'],
  '110/tcp': ['pop3'],
  '123/udp': ['ntp'],
  '143/tcp': ['imap'],
  '161/udp': ['snmp'],
  '389/tcp': ['ldap'],
  '443/tcp': ['https'],
  '443/udp': ['https'],
  '465/tcp': ['submissions'],
  '514/udp': ['syslog'],
  '587/tcp': ['submission'],
  '636/tcp': ['ldaps'],
  '993/tcp': ['imaps'],
  '995/tcp': ['pop3s'],
  '1433/tcp': ['ms-sql-s'],
  '1521/tcp': ['oracle'],
  '1883/tcp': ['mqtt'],
  '2379/tcp': ['etcd-client'],
  '3306/tcp': ['mysql'],
  '4222/tcp': ['nats'],
  '5060/tcp': ['sip'],
  '5060/udp': ['sip'],
  '5222/tcp': ['xmpp-client'],
  '5432/tcp': ['postgresql'],
  '5672/tcp': ['amqp'],
  '6379/tcp': ['redis'],
  '8080/tcp': ['http-alt'],
  '8883/tcp': ['secure-mqtt'],
  '9042/tcp': ['cassandra'],
  '9092/tcp': ['kafka'],
  '9200/tcp': ['elasticsearch'],
  '11211/tcp': ['memcache'],
  '27017/tcp': ['mongodb'],
};

/** `_http`, `_80`: RFC 2782 labels of a port. */
export function serviceLabels(protocol: string, port: number): string[] {
  return [...(names[`${port}/${protocol}`] ?? []), String(port)].map((name) => `_${name}`);
}
