# One image for all six processes and the jobs around them; which one it is, the command says (scripts/container.mjs). How much
# memory each may take stands in docker-compose.yml: the container's limit, and Node's heap by NODE_OPTIONS.

FROM node:24-slim AS manifests
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY proto/package.json proto/
COPY platform/package.json platform/
COPY course-model/package.json course-model/
COPY services/catalog/package.json services/catalog/
COPY services/content/package.json services/content/
COPY services/deployment/package.json services/deployment/
COPY services/review/package.json services/review/
COPY services/versioning/package.json services/versioning/
COPY gateway/package.json gateway/
COPY e2e/package.json e2e/
COPY bench/package.json bench/

# What the product needs to run, and nothing of what builds it.
FROM manifests AS packages
RUN npm ci --omit=dev --omit=optional --omit=peer

FROM manifests AS build
RUN npm ci --omit=optional
COPY . .
RUN node scripts/container.mjs build
RUN mkdir /out && tar -cf - */dist services/*/dist services/*/prisma/migrations platform/sql scripts samples | tar -xf - -C /out

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app ./
COPY --from=build /out ./
# Made here, so that new volumes belong to the user who writes to them: docker-compose.yml says which are mounted where.
RUN for name in nats versioning content catalog review deployment gateway ready; do mkdir -p "/secrets/$name"; done \
  && mkdir -p /data /keys && chown -R node:node /data /keys /secrets
USER node
ENTRYPOINT ["node", "scripts/container.mjs"]
CMD ["gateway"]
