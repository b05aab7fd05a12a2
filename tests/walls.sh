#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The walls: which file may include what.  tests/walls.sh [FOLDER]
#
# A library has few homes, so that it is clear where to look on the day it is replaced or found
# broken. A room knows nothing of other rooms, so that each can be read and tested alone. A new room
# needs no line here. Both tables hold regular expressions for whole paths, and what is included must
# be allowed by some line to the file that includes it; a file's own header always is.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

# library              its homes
libraries='
librdkafka/.*          service/(intake|producer|publish|restore|takeover|kafka_client|generation|topics|tokend)\.c
.*\.pb-c\.h|protobuf-c/.*  service/(decode.*|strict|journal_record|conclude|seal)\.[ch]
curl/.*                workers/(call_options|call_outcome|pool|worker)\.c|workers/call_private\.h
cjson/.*               workers/[^/]+
sodium\.h              service/base/(secret|dsse|random)\.c|service/seal\.c
openssl/.*             service/base/secret\.c
cyaml/.*               service/base/(yamldoc|config_file)\.c|service/policy_file\.c
yaml\.h                service/policy_lines\.c
microhttpd\.h          service/ops\.c
(librdkafka|curl|cjson|cyaml)/.*|sodium\.h|.*\.pb-c\.h     service/ctl/[^/]+
'

# header               who may know it
headers='
service/base/.*        .*
service/ctl/.*         service/ctl/.*
workers/.*             workers/.*|service/((dispatch|conclude|lists|sweep|tokend|pipeline.*)\.c|ticket\.h)

service/(record|request|status|ticket|generation|policy)\.h     service/[^/]+
service/journal\.h                       service/(restore|batch|journal_[a-z]+|lineage)\.[ch]
service/watermark\.h                     service/batch\.[ch]
service/(record|status|frame)\.h         service/ctl/[^/]+
service/policy\.h                        service/ctl/config_check_service\.c
service/(journal|restore)\.h             service/ctl/(journal_line|loss)\.[ch]

service/marker\.h                        service/(dispatch|conclude|lists|sweep)\.c
service/evidence\.h                      service/sweep\.[ch]
service/sweep_plan\.h                    service/sweep\.c
service/(frame|trace)\.h                 service/(headers|reply_headers)\.c
service/(strict|decode|decode_parts)\.h  service/decode.*\.c
service/quota\.h                         service/authorize\.c
service/policy_[a-z]+\.h                 service/policy.*\.[ch]|service/ctl/policy_.*\.c
service/(policy|authorize|request)\.h    service/ctl/policy_.*\.c
service/(journal_[a-z]+|index|lineage)\.h service/(journal.*|lineage)\.[ch]
service/kafka_client\.h                  service/(intake|producer|restore|takeover|topics)\.c
service/takeover\.h                      service/restore\.c
service/producer\.h                      service/publish\.c

service/[^/]+\.h                         service/(pipeline.*|loop|tokend)\.[ch]
'

allowed() {     # allowed FILE INCLUDED TABLE
	local what who
	while read -r what who; do
		if [[ -n $what && $2 =~ ^($what)$ && $1 =~ ^($who)$ ]]; then
			return 0
		fi
	done <<<"$3"
	return 1
}

broken=0 checked=0
while IFS=: read -r file included; do
	checked=$((checked + 1))
	case $file:$included in
	*:service/*|*:workers/*|*:tests/*) table=$headers ;;
	*:*/*|*:sodium.h|*:microhttpd.h|*:yaml.h) table=$libraries ;;
	*) continue ;;      # the C library
	esac
	# base and workers know nothing of what is around them, whatever the tables allow.
	case $file:$included in
	service/base/*:service/base/*|workers/*:service/base/*|workers/*:workers/*) ;;
	service/base/*:service/*|service/base/*:workers/*|workers/*:service/*) table= ;;
	esac
	if [ "${file%.c}.h" != "$included" ] && ! allowed "$file" "$included" "$table"; then
		echo "walls: $file must not include $included"
		broken=$((broken + 1))
	fi
done < <(grep -rHoE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]*' service workers |
	sed -E 's/:.*"([^/]*)$/:.\/\1/; s/:.*[<"]/:/' | grep -vE ':(sys|netinet|arpa|net)/')

if [ "$checked" -lt 100 ]; then
	echo "walls: found only $checked includes: this is the wrong folder"
	exit 1
fi
[ "$broken" = 0 ] || exit 1
echo "walls: $checked includes, each allowed"
