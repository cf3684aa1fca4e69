// Who a process is to the data servers: the address of a server as one of its users knows it.

/** The same address with another user and password. */
export function withUser(address, user, password) {
  const url = new URL(address);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.href;
}

/** The name of a service's database, and of the role by which the service uses it. */
export function databaseOf(name) {
  return `cw_${name}`;
}

/** The address of a service's database on the server of `postgresUrl` (options after `?` are kept), for the user named there. */
export function databaseUrl(postgresUrl, name) {
  const url = new URL(postgresUrl);
  url.pathname = `/${databaseOf(name)}`;
  return url.href;
}

/** The variable by which somebody names the database of a service as the service itself is to use it: CATALOG_DATABASE_URL. */
export function databaseVariable(name) {
  return `${name.toUpperCase()}_DATABASE_URL`;
}

/** The address of a service's database as the service uses it: the one named in `env`, else that of its own role with this password. */
export function runtimeUrl(name, { postgresUrl, password, env = {} }) {
  return env[databaseVariable(name)] ?? withUser(databaseUrl(postgresUrl, name), databaseOf(name), password);
}
