// The names by which processes and servers go.

/** The services in the order in which they start; the gateway comes after them and stops before them. */
export const serviceNames = ['versioning', 'content', 'catalog', 'review', 'deployment'];
export const processNames = [...serviceNames, 'gateway'];

/** How many of each service a system may run: more would want more connections than PostgreSQL takes. */
export const MOST_REPLICAS = 3;

/** The names of a service's replicas: `catalog`, `catalog-2`, … */
export function replicasOf(service, replicas = 1) {
  return Array.from({ length: replicas }, (_, index) => (index === 0 ? service : `${service}-${index + 1}`));
}

/** The names of all processes of a system that runs so many of each service, in the order in which they start: one gateway, whatever the number. */
export function instancesOf(replicas = 1) {
  return processNames.flatMap((name) => replicasOf(name, name === 'gateway' ? 1 : replicas));
}

/** Of which service a process is a replica: `catalog-2` is one of `catalog`. */
export function serviceOf(instance) {
  return instance.replace(/-\d+$/, '');
}

export const serverNames = ['postgres', 'mongodb', 'redis', 'nats'];
