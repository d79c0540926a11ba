// tests/wire/lib/operations.mjs: the operations table as /openapi.json shows it, for stories that walk all of it.
//
//     for (const op of await operations(hub)) {
//       const answer = await op.rest(hub, { task_id: 't-1' }, { token });   // path, query and body out of one object
//       const result = await op.call(socket, { task_id: 't-1' });
//     }

/** One for each route: { id, name, method, path, role, creates, callable, coordinator, properties, required, body }. */
export async function operations(hub) {
  const { body } = await hub.get('/openapi.json', { token: null });
  return Object.entries(body.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, row]) => operation(path, method.toUpperCase(), row)));
}

function operation(path, method, row) {
  const body = row.requestBody?.content['application/json'].schema;
  const parameters = (row.parameters ?? []).filter((one) => one.name);
  const places = Object.fromEntries(parameters.map((one) => [one.name, one.in]));
  const inBody = Object.keys(body?.properties ?? {});
  const op = {
    id: row.operationId,
    name: row['x-waggle-operation'],
    role: row['x-waggle-role'],
    creates: row['x-waggle-creates'],
    callable: row['x-waggle-call'],
    coordinator: Object.values(row.responses).some((one) => one.$ref?.includes('/coordinator_')),
    method,
    path,
    body,
    properties: { ...Object.fromEntries(parameters.map((one) => [one.name, one.schema])), ...body?.properties },
    required: [...parameters.filter((one) => one.required).map((one) => one.name), ...(body?.required ?? [])],
    place: (name) => places[name] ?? (inBody.includes(name) ? 'body' : null),
    toString: () => `${row.operationId} (${method} ${path})`,
  };
  op.url = (params = {}, prefix = '') => {
    const query = new URLSearchParams();
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params[name] ?? 'none'));
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const [name, value] of Object.entries(params)) {
      if (!inPath.includes(name) && !takesBody(op)) query.append(name, value);
    }
    return `${prefix}${filled}${query.size ?? [...query].length ? `?${query}` : ''}`;
  };
  op.rest = (hub, params = {}, { prefix = '', ...options } = {}) => {
    const rest = Object.fromEntries(Object.entries(params).filter(([name]) => !path.includes(`{${name}}`)));
    const sent = takesBody(op) && (op.body || Object.keys(rest).length) ? rest : undefined;
    return hub.http(method, op.url(params, prefix), { body: sent, ...options });
  };
  op.call = (socket, params = {}) => socket.call(op.name, params);
  return op;
}

const takesBody = (op) => !['GET', 'DELETE'].includes(op.method);
