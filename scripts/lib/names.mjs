// The names by which processes and servers go.

/** The services in the order in which they start; the gateway comes after them and stops before them. */
export const serviceNames = ['versioning', 'content', 'catalog', 'review', 'deployment'];
export const processNames = [...serviceNames, 'gateway'];
export const serverNames = ['postgres', 'mongodb', 'redis', 'nats'];
