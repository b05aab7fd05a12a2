# SPDX-License-Identifier: Apache-2.0
# tokend and tokenctl on Debian's own libraries:  docker build --build-arg VERSION=0.1.0 -t tokend .
#
# It runs without root, capabilities, a shell or a writable file: configuration and secrets are mounted.
# BASE may name any Debian 12 root, where no registry is in reach.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
ARG VERSION=unknown
WORKDIR /src
COPY tests/deps.sh tests/deps.sh
RUN apt-get update && apt-get install -y --no-install-recommends make && tests/deps.sh build
COPY . .
RUN make install VERSION="$VERSION" DESTDIR=/out PREFIX=/usr

FROM ${BASE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title=tokend org.opencontainers.image.licenses=Apache-2.0 \
	org.opencontainers.image.version=$VERSION
RUN apt-get update && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates \
		libcjson1 libcurl4 libcyaml1 libmicrohttpd12 libprotobuf-c1 librdkafka1 libsodium23 libssl3 && \
	rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr/bin/tokend /out/usr/bin/tokenctl /usr/bin/
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 9464
ENTRYPOINT ["/usr/bin/tokend"]
CMD ["--config", "/etc/tokend/tokend.yaml"]
