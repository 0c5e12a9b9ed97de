# Build: the compiler and its platform packages stay behind. Install scripts are not needed by any of them.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production
# Loopback inside of a container is nobody's: Prometheus and the published port come from outside of it. What is
# published, and to whom, is decided where the container is started.
ENV WALRELAY_HTTP_HOST=0.0.0.0
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
COPY postgres ./postgres
USER node
EXPOSE 9465
STOPSIGNAL SIGTERM
# A port given by WALRELAY_HTTP_PORT is found; one from a configuration file or a flag needs a --health-cmd of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["node", "-e", "const port = process.env.WALRELAY_HTTP_PORT || '9465'; if (port !== 'off') fetch(`http://127.0.0.1:${port}/livez`).then((reply) => process.exit(reply.ok ? 0 : 1), () => process.exit(1));"]
ENTRYPOINT ["node", "/app/bin/walrelay.js"]
CMD ["run"]
