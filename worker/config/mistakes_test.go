package config_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/config"
)

// with is the smallest file with more keys for its subscription.
func with(lines ...string) string { return smallest + "    " + strings.Join(lines, "\n    ") + "\n" }

func handled(by string) string { return strings.Replace(smallest, "{exec: ./charge}", by, 1) }

// mistakes are files, and all that is said of them without the file's name.
func mistakes() map[string][]string {
	return map[string][]string{
		"":                            {"1:1: the file is empty: name at least a topic and a handler under subscriptions"},
		"# nothing\n":                 {"1:1: the file is empty: name at least a topic and a handler under subscriptions"},
		"- a\n":                       {"1:1: it is a list, but a mapping is wanted: put keys below it, such as {group: …, subscriptions: …}"},
		smallest + "---\na: 1\n":      {"5:1: a second document begins here (---): keep one in a file"},
		smallest + "---\n":            {"5:1: a second document begins here (---): keep one in a file"},
		"group: b\nnats:\n\turl: x\n": {"3:1: this is not YAML: found character that cannot start any token: a tab: indent with spaces"},
		"group: *b\n":                 {"1:8: this is not YAML: it cannot be read from here on: there is no such anchor (&name): quote a value that begins with '*'"},
		"nats: {url: ${URL}}\n":       {"1:14: this is not YAML: did not find expected ',' or '}': quote a value with ${…} inside of { } or [ ]"},
		"group: a: b\n":               {"1:9: this is not YAML: mapping values are not allowed in this context: check the indentation, and quote a value that has a colon and a space"},
		"group: @b\n":                 {"1:8: this is not YAML: found character that cannot start any token: quote a value that begins with a special character"},
		"group: \"b\n":                {"2:1: this is not YAML: found unexpected end of stream: check indentation, quotes and brackets"},
		"group: b\xff\n":              {"1:9: the file is not UTF-8: save it as UTF-8"},
		"\xfe\xffg\n":                 {"1:1: the file is not UTF-8: save it as UTF-8"},
		"a: é\ngroup: é\x00\n":        {"2:9: a control character (U+0000): remove it, or write it as an escape in double quotes"},
		"%FOO\n---\na: 1\n":           {"1:5: this is not YAML: found unknown directive name: check indentation, quotes and brackets"},

		"group: b\nsubscriptions: []\n": {"2:16: subscriptions: there is none: name at least one, with a topic and a handler"},
		"group: b\nsubscriptions: x\n":  {"2:16: subscriptions: it is text, but a list is wanted: begin each entry with a dash and a space"},
		"group: b\nsubscriptions: [a]\n": {
			"2:17: subscriptions[0]: it is text, but a mapping is wanted: " +
				"put keys below it, such as {topic: …, handler: …}",
		},
		strings.Replace(smallest, "group", "grop", 1): {
			`1:1: grop: there is no key "grop": did you mean "group"?`,
		},
		smallest + "group: again\n":                                    {"5:1: group: duplicate key (first set on line 1)"},
		smallest + "'group': again\n":                                  {"5:1: group: duplicate key (first set on line 1)"},
		smallest + "url: x\n":                                          {`5:1: url: there is no key "url": it belongs under nats or subscriptions.handler.http`},
		smallest + "worker: x\n":                                       {`5:1: worker: there is no key "worker": use group, name, nats, mongo, data_dir, log, strict, drain, admin, metrics, partitions, outbox, schemas, provision or subscriptions`},
		smallest + "? [a]\n: b\n":                                      {"1:1: the key on line 5 is not text: quote what has braces, brackets or an asterisk"},
		smallest + "nats: {credentials: a, nkey: b, url: nats://h}\n":  {"5:30: nats.nkey: nats.credentials and nats.nkey exclude each other: keep one"},
		smallest + "nats: {domain: a, api_prefix: b, url: nats://h}\n": {"5:31: nats.api_prefix: nats.domain and nats.api_prefix exclude each other: keep one"},
		smallest + "nats: {url: nats://h, tls: {certificate: a}}\n":    {"5:42: nats.tls.certificate: a client needs both: name the key as well, in nats.tls.key"},
		smallest + "nats: {url: nats://h, inbox_prefix: 'a.>'}\n":      {"5:37: nats.inbox_prefix: \"a.>\" is not a subject such as _INBOX_billing"},
		smallest + "nats: {url: nats://h, stream: a.b}\n":              {"5:31: nats.stream: \"a.b\" is not the name of a stream, which has no spaces, dots, '*', '>', '/' or '\\'"},
		smallest + "nats: {bucket: a.b}\n":                             {"5:16: nats.bucket: \"a.b\" is not the name of a bucket, which has letters, digits, '-' and '_'"},
		smallest + "nats: {replicas: 6}\n":                             {`5:18: nats.replicas: "6" is not a whole number from 1 to 5`},
		smallest + "nats: {domain: hub}\n":                             {"5:16: warning: nats.domain: it has no effect without nats.url: the worker's own server needs none of it"},
		with("id: order..id"):                                          {"5:9: subscriptions[0].id: \"order..id\" is not a member of the payload such as order.id"},
		with("mode: transactional") + "mongo: {uri: mongodb://h}\n":    {"5:11: subscriptions[0].mode: what this handler does is not in the transaction: only publish with outbox: true is; use mode claimed"},
		handled("{publish: {topic: b, outbox: true}}") + "    mode: transactional\n    run_limit: 1m\noutbox: {}\nmongo: {uri: mongodb://h}\n": {
			"6:16: subscriptions[0].run_limit: run_limit is 1m: in mode transactional it is at most 55s, for the server ends a transaction after 60s",
		},
		handled("{http: {url: http://h, tls: {key: a}}}"):          {"4:48: subscriptions[0].handler.http.tls.key: a client needs both: name the certificate as well, in subscriptions[0].handler.http.tls.certificate"},
		handled("{http: {url: http://h, addresses: privat}}"):      {`4:48: subscriptions[0].handler.http.addresses: "privat" is none of any or public`},
		handled("{http: {url: http://h, signing: whsec_x}}"):       {"4:46: subscriptions[0].handler.http.signing: it is text, but a mapping is wanted: put keys below it, such as {secrets: …, files: …}"},
		handled("{http: {url: http://h, signing: {files: ['']}}}"): {"4:55: subscriptions[0].handler.http.signing.files[0]: it is empty: it must be the name of a file"},
		handled("{http: {url: http://h, signing: {secrets: [abc, whsec_aa!, whsec_YWJj]}}}"): {
			"4:57: subscriptions[0].handler.http.signing.secrets[0]: it does not begin with whsec_: make one with: echo \"whsec_$(openssl rand -base64 32)\"",
			"4:62: subscriptions[0].handler.http.signing.secrets[1]: what follows whsec_ is not base64 with padding: copy it as it was given, or make one with: echo \"whsec_$(openssl rand -base64 32)\"",
			"4:73: subscriptions[0].handler.http.signing.secrets[2]: its key has 3 bytes: it must have 24 to 64; make one with: echo \"whsec_$(openssl rand -base64 32)\"",
		},
		handled("{http: {url: http://h, per_host: {}}}"):               {"4:47: subscriptions[0].handler.http.per_host: it bounds nothing: give concurrency, rate or both"},
		handled("{http: {url: http://h, per_host: {concurrency: 0}}}"): {`4:61: subscriptions[0].handler.http.per_host.concurrency: "0" is not a whole number from 1 to 100000`},
		handled("{http: {url: http://h, per_host: {rate: 5}}}"):        {`4:54: subscriptions[0].handler.http.per_host.rate: "5" has no unit that is known: write a rate such as 100/s, 30/m or 5/h`},
		handled("{http: {url: http://h, pass_headers: [webhook-id]}}"): {"4:52: subscriptions[0].handler.http.pass_headers[0]: the header Webhook-Id is set for each request: leave it out"},
		smallest + "nats: x\n":         {"5:7: nats: it is text, but a mapping is wanted: put keys below it, such as {url: …, credentials: …}"},
		smallest + "nats: {x-a: 1}\n":  {`5:8: nats.x-a: there is no key "x-a": use url, credentials, nkey, tls, inbox_prefix, domain, api_prefix, stream, envelopes, max_unsettled, bucket, replicas or provision`},
		smallest + "drain: [1s]\n":     {"5:8: drain: it is a list, but it must be a duration from 1ms to 1d"},
		smallest + "drain:\n":          {"5:7: drain: it has no value: give one, or remove the key; it must be a duration from 1ms to 1d"},
		smallest + "drain: !!str 1s\n": {"5:8: drain: it has a tag (!…), which is not supported: quote a value that begins with '!'"},
		smallest + "drain: 1\n":        {`5:8: drain: "1" has no unit: write 1s for seconds, or 1ms, 1m, 1h, 1d`},
		smallest + "drain: 1y\n":       {`5:8: drain: "1y" is no duration: write one such as 500ms, 30s, 15m, 12h or 7d`},
		smallest + "drain: -1s\n":      {`5:8: drain: "-1s" is negative: write a duration such as 30s`},
		smallest + "drain: 2d\n":       {`5:8: drain: "2d" is not a duration from 1ms to 1d`},
		smallest + "drain: 99999999w\n": {
			`5:8: drain: "99999999w" is longer than 292 years`,
		},
		smallest + "log: {level: warning}\n":               {`5:14: log.level: "warning" is none of debug, info, warn or error`},
		smallest + "log: {level: errr}\n":                  {`5:14: log.level: "errr" is none of debug, info, warn or error: did you mean "error"?`},
		smallest + "nats: {provision: yes}\n":              {`5:19: nats.provision: "yes" is text, but it must be true or false`},
		smallest + "nats: {provision: 'true'}\n":           {`5:19: nats.provision: "true" is text, but it must be true or false: remove the quotes`},
		smallest + "nats: {url: 'redis://h'}\n":            {"5:13: nats.url: its scheme is not nats, tls, ws or wss: write a URL such as nats://localhost:4222"},
		smallest + "mongo: {uri: localhost}\n":             {"5:14: mongo.uri: it does not begin with mongodb:// or mongodb+srv://"},
		strings.Replace(smallest, "billing", "5", 1):       {`1:8: group: "5" is a number, but it must be the name of a group such as billing: put it in quotes`},
		strings.Replace(smallest, "billing", "''", 1):      {"1:8: group: it is empty: it must be the name of a group such as billing"},
		strings.Replace(smallest, "billing", "a b", 1):     {"1:8: group: \"a b\" gives no topic for dead letters (dead.GROUP): name a group without spaces, and without dots at its ends, or set dead_letter"},
		strings.Replace(smallest, "billing", "${NO}", 1):   {"1:8: group: the environment has no NO: set it, or give a default as in ${NO:default}, or write $${NO} for the text itself"},
		strings.Replace(smallest, "billing", "${A:-b}", 1): {"1:8: group: ${A:-…} is the shell's way: write ${A:default}, or $${ for the text ${"},
		strings.Replace(smallest, "billing", "${A", 1):     {"1:8: group: a ${ has no end: write ${VAR}, or $${ for the text ${"},

		with("concurrency: 0"):                    {`5:18: subscriptions[0].concurrency: "0" is not a whole number from 1 to 100000, auto, or auto with a range such as auto:2-32`},
		with("concurrency: 1.5"):                  {`5:18: subscriptions[0].concurrency: "1.5" is not a whole number from 1 to 100000, auto, or auto with a range such as auto:2-32`},
		with("max_unmarked: 15"):                  {"5:19: subscriptions[0].max_unmarked: max_unmarked is 15: it must be at least concurrency, 16"},
		with("concurrency: 8", "max_unmarked: 7"): {"6:19: subscriptions[0].max_unmarked: max_unmarked is 7: it must be at least concurrency, 8"},
		with("max_unmarked: 0"):                   {`5:19: subscriptions[0].max_unmarked: "0" is not a whole number from 1 to 1000000`},
		with("attempts: 010"):                     {`5:15: subscriptions[0].attempts: "010" is not a whole number from 1 to 1000000: write it in decimal digits, with no zeros before them`},
		with("attempts: 0x10"):                    {`5:15: subscriptions[0].attempts: "0x10" is not a whole number from 1 to 1000000: write it in decimal digits, with no zeros before them`},
		with("attempts: 9999999999"):              {`5:15: subscriptions[0].attempts: "9999999999" is not a whole number from 1 to 1000000`},
		with("attempts: '5'"):                     {`5:15: subscriptions[0].attempts: "5" is text, but it must be a whole number from 1 to 1000000: remove the quotes`},
		with("lease: 10ms"):                       {`5:12: subscriptions[0].lease: "10ms" is not a duration from 100ms to 1d`},
		with("lease: 1d", "ttl: 1d"):              {"6:10: subscriptions[0].ttl: ttl is 1d: it must be longer than lease 1d"},
		with("run_limit: 8d"):                     {"5:16: subscriptions[0].run_limit: ttl is 7d, but an event may be redelivered for longer (ack_wait 30s + backoff.max 5m + run_limit 8d): raise ttl or lower the others"},
		with("backoff: {base: 1m, max: 1s}"): {
			"5:21: subscriptions[0].backoff.base: backoff.base is 1m, longer than backoff.max 1s: raise the second or lower the first",
		},
		with("ttl: 5", "run_limit: 8d"): {`5:10: subscriptions[0].ttl: "5" has no unit: write 5s for seconds, or 5ms, 5m, 5h, 5d`},
		"group: g\nsubscriptions: [{topic: a.., handler: {log: }}, {topic: a.., handler: {log: }}]\n": {
			`2:25: subscriptions[0].topic: topic "a.." ends with a dot: remove it`,
			`2:57: subscriptions[1].topic: topic "a.." ends with a dot: remove it`,
		},
		with("start: yesterday"):                               {`5:12: subscriptions[0].start: "yesterday" is neither earliest nor latest nor a time such as 2026-01-31T15:04:05Z`},
		with("start: 2026-01-31"):                              {`5:12: subscriptions[0].start: "2026-01-31" is neither earliest nor latest nor a time such as 2026-01-31T15:04:05Z`},
		with("start: lastest"):                                 {`5:12: subscriptions[0].start: "lastest" is neither earliest nor latest nor a time such as 2026-01-31T15:04:05Z: did you mean "latest"?`},
		with("order: keys"):                                    {`5:12: subscriptions[0].order: "keys" is none of key, none, topic, exclusive or partitions:8: did you mean "key"?`},
		with("mode: seen_mark"):                                {`5:11: subscriptions[0].mode: "seen_mark" is none of claimed, seen-mark or transactional: did you mean "seen-mark"?`},
		with("rate: 5"):                                        {`5:11: subscriptions[0].rate.limit: "5" has no unit that is known: write a rate such as 100/s, 30/m or 5/h`},
		with("rate: 0/s"):                                      {`5:11: subscriptions[0].rate.limit: "0/s" lets nothing start: write a number above 0, or leave the rate out for no limit`},
		with("rate: x/s"):                                      {`5:11: subscriptions[0].rate.limit: "x/s" does not begin with a whole number: write a rate such as 100/s, 30/m or 5/h`},
		with("rate: 2000000000/s"):                             {`5:11: subscriptions[0].rate.limit: "2000000000/s" is more than 1000000000: leave the rate out for no limit`},
		with("dead_letter: ''"):                                {`5:18: subscriptions[0].dead_letter: the topic is empty: name one, such as "order.placed"`},
		with("dead_letter: dead.*"):                            {`5:18: subscriptions[0].dead_letter: topic "dead.*" has a wildcard: name one topic`},
		with("dead_letter: order.placed"):                      {`5:18: subscriptions[0].dead_letter: the topic "order.placed" also receives its own dead letters, on "order.placed": set dead_letter to another topic`},
		strings.Replace(smallest, "order.placed", "dead.>", 1): {`3:12: subscriptions[0].topic: the topic "dead.>" also receives its own dead letters, on "dead.billing": set dead_letter to another topic`},
		strings.Replace(smallest, "order.placed", "a..b", 1):   {`3:12: subscriptions[0].topic: topic "a..b" has an empty token: dots only separate`},
		with("mode: seen-mark", "crashes: 3"):                  {"6:14: warning: subscriptions[0].crashes: it has no effect in mode seen-mark, which does not recognise crashes"},
		smallest + "nats: {url: 'nats://h'}\ndata_dir: /x\n":   {"6:11: warning: data_dir: it has no effect beside nats.url: only the worker's own server keeps data there"},

		smallest + "  - {topic: order.placed, handler: {log: }}\n":  {`5:13: subscriptions[1].topic: "order.placed" overlaps with "order.placed" of subscriptions[0]: a group handles each event once; join them, or use another group`},
		smallest + "  - {topic: '*.placed', handler: {log: }}\n":    {`5:13: subscriptions[1].topic: "*.placed" overlaps with "order.placed" of subscriptions[0]: a group handles each event once; join them, or use another group`},
		handled("{exec: ./a, log: }"):                               {"4:14: subscriptions[0].handler: there are 2, exec and log: keep one"},
		handled("{}"):                                               {"4:14: subscriptions[0].handler: it is missing: add one of exec, http, publish, project or log below handler"},
		handled("exec"):                                             {"4:14: subscriptions[0].handler: it is text, but a mapping is wanted: put one of exec, http, publish, project or log below it"},
		handled("{exce: ./a}"):                                      {`4:14: subscriptions[0].handler: it is missing: add one of exec, http, publish, project or log below handler`, `4:15: subscriptions[0].handler.exce: there is no key "exce": did you mean "exec"?`},
		handled("{exec: }"):                                         {"4:21: subscriptions[0].handler.exec.command: it is missing: add command: command line to run"},
		handled("{exec: ''}"):                                       {"4:21: subscriptions[0].handler.exec.command: it is empty: it must be a command line"},
		handled("{exec: './a ${CE_ID}'}"):                           {"4:21: subscriptions[0].handler.exec.command: the worker's environment has no CE_ID; in a command line, which gets it for each event, write $CE_ID or $${CE_ID}"},
		handled("{exec: {command: a, mode: steram}}"):               {`4:40: subscriptions[0].handler.exec.mode: "steram" is none of process or stream: did you mean "stream"?`},
		handled("{publish: order.placed}"):                          {`4:24: subscriptions[0].handler.publish.topic: "order.placed" is received by the subscription itself, on "order.placed": events would go round for ever; publish to another topic`},
		handled("{publish: order.*}"):                               {`4:24: subscriptions[0].handler.publish.topic: topic "order.*" has a wildcard: name one topic`},
		handled("{http: localhost}"):                                {"4:21: subscriptions[0].handler.http.url: its scheme is neither http nor https: write a URL such as https://localhost:8080/events"},
		handled("{http: 'http://'}"):                                {"4:21: subscriptions[0].handler.http.url: it names no host: write a URL such as https://localhost:8080/events"},
		handled("{http: 'http://h:99999'}"):                         {"4:21: subscriptions[0].handler.http.url: its port is not from 1 to 65535"},
		handled("{http: {url: 'http://h', timeout: 20m}}"):          {"4:48: warning: subscriptions[0].handler.http.timeout: the HTTP timeout, 20m, is longer than run_limit, 15m, which ends the exchange before it"},
		handled("{http: {url: 'http://h', headers: {A b: c}}}"):     {"4:49: subscriptions[0].handler.http.headers: the name of a header has what HTTP does not allow: write letters, digits and dashes"},
		handled("{http: {url: 'http://h', headers: {Te: c}}}"):      {"4:49: subscriptions[0].handler.http.headers: the header Te belongs to the connection: leave it out"},
		handled("{http: {url: 'http://h', headers: {A: 1}}}"):       {"4:52: subscriptions[0].handler.http.headers.A: the value (not shown) is a number, but it must be text: put it in quotes"},
		handled("{http: {url: 'http://h', headers: {A: \"\\n\"}}}"): {"4:52: subscriptions[0].handler.http.headers.A: its byte 0 is a control character, which HTTP does not allow in headers: remove it"},
		handled("{http: {url: 'http://h', headers: {A: b, a: b}}}"): {"4:58: subscriptions[0].handler.http.headers.a: it is there twice, in other letters: remove one"},
		handled("{http: {url: 'http://h', pass_headers: X-A}}"):     {"4:53: subscriptions[0].handler.http.pass_headers: it is text, but a list is wanted: begin each entry with a dash and a space"},
		handled("{http: {url: 'http://h', pass_headers: [X-A, x_b, Proxy]}}"): {
			"4:59: subscriptions[0].handler.http.pass_headers[1]: services cannot tell an underscore in the name of a header from a dash, and with dashes the name may be another's: leave it out",
			"4:64: subscriptions[0].handler.http.pass_headers[2]: the header Proxy says who sends a request and where to, which no publisher may: leave it out",
		},
		handled("{publish: b}") + "  - {topic: b, handler: {publish: c}}\n  - {topic: c, handler: {publish: order.placed}}\n": {
			`4:24: subscriptions[0].handler.publish.topic: "b" comes back to this subscription by way of subscriptions[2]: events would go round for ever; publish to another topic`,
		},
		// What comes back as a dead letter goes round as well, and an overlap hides no loop.
		handled("{publish: b}") + "  - {topic: b, dead_letter: order.placed, handler: {exec: x}}\n": {
			`4:24: subscriptions[0].handler.publish.topic: "b" comes back to this subscription by way of the dead letters of subscriptions[1]: events would go round for ever; set dead_letter there to another topic`,
		},
		with("dead_letter: b") + "  - {topic: b, handler: {publish: order.placed}}\n": {
			`5:18: subscriptions[0].dead_letter: dead letters on "b" come back to this subscription by way of subscriptions[1]: events would go round for ever; set dead_letter to another topic`,
		},
		with("dead_letter: b") + "  - {topic: b, dead_letter: order.placed, handler: {exec: x}}\n": {
			`5:18: subscriptions[0].dead_letter: dead letters on "b" come back to this subscription by way of subscriptions[1]: events would go round for ever; set dead_letter to another topic`,
		},
		handled("{publish: b}") + "  - {topic: b.>, handler: {log: }}\n  - {topic: b, handler: {log: }}\n  - {topic: '*', handler: {publish: order.placed}}\n": {
			`4:24: subscriptions[0].handler.publish.topic: "b" comes back to this subscription by way of subscriptions[3]: events would go round for ever; publish to another topic`,
			`7:13: subscriptions[3].topic: "*" overlaps with "b" of subscriptions[2]: a group handles each event once; join them, or use another group`,
		},
		with("dead_letter: b") + "  - {topic: b, handler: {log: }}\n": nil,
		smallest + "outbox:\n":                         {"5:8: outbox: it is kept in a MongoDB, and none is named: set mongo.uri, --mongo or MONGODB_URI"},
		smallest + "outbox:\nmongo: {uri: h}\n":        {"6:14: mongo.uri: it does not begin with mongodb:// or mongodb+srv://"},
		handled("{publish: {topic: b, outbox: true}}"): {"4:43: subscriptions[0].handler.publish.outbox: there is no outbox: add one at the top of the file, outbox: {}"},
		boxed + "{retention: 7d}\n" + smallest[len("group: billing\n"):]: {
			"3:21: outbox.retention: outbox.retention is 7d, and ttl of subscriptions[0] 7d: what is published again within the retention must still be known; lower outbox.retention or raise ttl",
		},
		boxed + "{}\n" + with("ttl: 1d")[len("group: billing\n"):]: {
			"7:10: subscriptions[0].ttl: outbox.retention is 3d, and ttl of subscriptions[0] 1d: what is published again within the retention must still be known; lower outbox.retention or raise ttl",
		},
		boxed + "{after_dead: go-on}":             {`3:22: outbox.after_dead: "go-on" is none of block or continue`},
		boxed + "{collection: dedupe}":            {`3:22: outbox.collection: "dedupe" has the marks of what was handled: name another collection`},
		boxed + "{collection: dedupe.eu}":         {`3:22: outbox.collection: "dedupe.eu" has the marks of what was handled: name another collection`},
		smallest + "mongo: {namespace: a.b}\n":    {`5:20: mongo.namespace: "a.b" is not 1 to 50 letters, digits, '-' and '_'`},
		boxed + "{attempts: 0}":                   {`3:20: outbox.attempts: "0" is not a whole number from 1 to 1000000`},
		boxed + "{backoff: {base: 10m, max: 1m}}": {`3:26: outbox.backoff.base: outbox.backoff.base is 10m, longer than outbox.backoff.max 1m: raise the second or lower the first`},
		boxed + "{}\nsubscriptions: []\n":         {"4:16: subscriptions: there is none: name at least one, with a topic and a handler"},
		"group: g\n":                              {"1:1: subscriptions: there is none: name at least one, with a topic and a handler"},
		"x: &x {<<: *x}\n" + smallest:             {`1:1: x: there is no key "x": use group, name, nats, mongo, data_dir, log, strict, drain, admin, metrics, partitions, outbox, schemas, provision or subscriptions`},
		"nats: &x {<<: *x}\n" + smallest:          {"1:11: nats: merge keys (<<) are not supported: write the keys out, with an alias (*name) for each value that is shared"},

		handled("{http: {url: 'http://h', statuses: 404}}"):                      {`4:49: subscriptions[0].handler.http.statuses: "404" is a number, but it must be statuses and what they mean, such as 401-405=permanent, 409=done: put it in quotes`},
		handled("{http: {url: 'http://h', statuses: '404'}}"):                    {`4:49: subscriptions[0].handler.http.statuses: "404" is no status with its meaning: write 404=permanent, or 401-405=permanent`},
		handled("{http: {url: 'http://h', statuses: 404=permament}}"):            {`4:49: subscriptions[0].handler.http.statuses: "permament" is none of done, retry, throttled, unavailable, refused, permanent or gone: did you mean "permanent"?`},
		handled("{http: {url: 'http://h', statuses: 199=done}}"):                 {`4:49: subscriptions[0].handler.http.statuses: "199" is no status, and no range of them: they are from 200 to 599`},
		handled("{http: {url: 'http://h', statuses: 405-401=done}}"):             {`4:49: subscriptions[0].handler.http.statuses: "405-401" is no status, and no range of them: they are from 200 to 599`},
		handled("{http: {url: 'http://h', statuses: '400-499=done,404=retry'}}"): {"4:49: subscriptions[0].handler.http.statuses: 404 is there twice: remove one"},
		handled("{exec: \"a\\0b\"}"):                                             {"4:21: subscriptions[0].handler.exec.command: it has a NUL at byte 1, and a command line cannot hold one: put what needs it into a file, and run that"},
		handled("{exec: '" + strings.Repeat("x", 128<<10) + "'}"):                {"4:21: subscriptions[0].handler.exec.command: it has 131072 bytes, and the system takes 131071: put it into a file, and run that"},
		with("give_up: 4d"): {"5:14: warning: subscriptions[0].give_up: give_up is 4d, but half of ttl 7d ends it before"},
	}
}

// flowMistakes are about concurrency, limits and breakers.
func flowMistakes() map[string][]string {
	const at = " subscriptions[0].rate."
	return map[string][]string{
		with("concurrency: auto:2"):                        {`5:18: subscriptions[0].concurrency: "auto:2" is not a whole number from 1 to 100000, auto, or auto with a range such as auto:2-32`},
		with("concurrency: auto:9-8"):                      {`5:18: subscriptions[0].concurrency: "auto:9-8" begins with the larger number: write auto:8-9`},
		with("concurrency: [2, 8]"):                        {"5:18: subscriptions[0].concurrency: it is a list, but it must be a whole number from 1 to 100000, auto, or auto with a range such as auto:2-32"},
		with("concurrency: auto:2-32", "max_unmarked: 31"): {"6:19: subscriptions[0].max_unmarked: max_unmarked is 31: it must be at least concurrency, 32"},

		with("rate:"):                                                {"5:10:" + at + "limit: it is missing: add limit: how many handlers may start, such as 100/s, 30/m or 5/h"},
		with("rate: {}"):                                             {"5:11:" + at + "limit: it is missing: add limit: how many handlers may start, such as 100/s, 30/m or 5/h"},
		with("rate: {per: 2s}"):                                      {"5:11:" + at + "limit: it is missing: add limit: how many handlers may start, such as 100/s, 30/m or 5/h"},
		with("rate: [5/s]"):                                          {"5:11: subscriptions[0].rate: it is a list, but a mapping is wanted: put keys below it, such as {limit: …}, or write the limit alone"},
		with("rate: {limit: 0}"):                                     {"5:19:" + at + `limit: "0" lets nothing start: write a number above 0, or leave the rate out for no limit`},
		with("rate: {limit: 010}"):                                   {"5:19:" + at + `limit: "010" does not begin with a whole number: write a rate such as 100/s, 30/m or 5/h`},
		with("rate: {limit: 100/s, per: 2s}"):                        {"5:31:" + at + "per: rate.limit is 100/s and rate.per is 2s: write limit: 100, per: 2s"},
		with("rate: {limit: 5, per: 367d}"):                          {"5:27:" + at + `per: "367d" is not a duration from 1ms to 366d`},
		with("rate: {limit: 5/s, strategy: fixed-windw}"):            {"5:34:" + at + `strategy: "fixed-windw" is none of token-bucket, fixed-window, sliding-window or sliding-log: did you mean "fixed-window"?`},
		with("rate: {limit: 5/s, burst: 9, strategy: fixed-window}"): {"5:31:" + at + "burst: rate.burst is for token-bucket, and rate.strategy is fixed-window: remove one"},
		with("rate: {limit: 5/s, burst: 2000000000}"):                {"5:31:" + at + `burst: "2000000000" is not a whole number from 1 to 1000000000`},
		with("rate: {limit: 2000000/h, strategy: sliding-log}"):      {"5:19:" + at + "limit: rate.limit is 2000000/h: a sliding-log has at most 1000000, for it remembers each start; use sliding-window"},
		with("rate: {limit: 10001, strategy: sliding-log, shared: true}"): {
			"5:19:" + at + "limit: rate.limit is 10001: a sliding-log that is shared has at most 10000, for it remembers each start; use sliding-window",
		},
		with("rate: {limit: 5/s, by: tenant}"):    {"5:28:" + at + `by: "tenant" is not topic, key, type or header:NAME`},
		with("rate: {limit: 5/s, by: 'header:'}"): {"5:28:" + at + `by: "header:" is not topic, key, type or header:NAME`},
		with("rate: {limit: 5/s, queue: 0}"):      {"5:31:" + at + `queue: "0" is not a whole number from 1 to 100000`},
		with("rate: {limit: 5/s, max_keys: 0}"):   {"5:34:" + at + `max_keys: "0" is not a whole number from 1 to 10000000`},
		with("rate: {limit: 5/s, max_wait: 0s}"):  {"5:34:" + at + `max_wait: "0s" is not a duration from 1ms to 1d`},

		with("rate: {limit: 5/s, on_outage: closed}"):                                                    {"5:35: warning:" + at + "on_outage: it has no effect without shared: true, for only a shared limit has a store"},
		with("rate: {limit: 5/s, on_outage: closed, shared: true}"):                                      nil,
		with("rate: {limit: 5/s, max_keys: 9}"):                                                          {"5:34: warning:" + at + `max_keys: it has no effect: by is topic, and "order.placed" is one topic`},
		with("rate: {limit: 5/s, max_keys: 9, by: key}"):                                                 nil,
		with("rate: {limit: 5/s, queue: 17, by: key}"):                                                   {"5:31: warning:" + at + "queue: rate.queue is 17, more than concurrency, 16: events wait in slots, and there are no more"},
		with("rate: {limit: 5/s, queue: 16, by: key}"):                                                   nil,
		with("concurrency: auto:1-20", "rate: {limit: 5/s, queue: 20}"):                                  nil,
		with("rate: {limit: 5/s, queue: 7}"):                                                             {"5:31: warning:" + at + "queue: rate.queue is 7, less than half of concurrency, 16: the other slots stay idle while the limit binds, for all events have one"},
		with("rate: {limit: 5/s, queue: 8}"):                                                             nil,
		with("rate: {limit: 5/s, queue: 1, by: key}"):                                                    nil,
		with("rate: {limit: 5/s, max_wait: 31s}"):                                                        {"5:34: warning:" + at + "max_wait: rate.max_wait is 31s, but lease, 30s, ends the wait before it"},
		with("rate: {limit: 5/s, max_wait: 30s}"):                                                        nil,
		strings.Replace(with("rate: {limit: 5/s, max_keys: 9, queue: 1}"), "order.placed", "order.>", 1): nil,

		with("breaker: 0"):               {`5:14: subscriptions[0].breaker.failures: "0" is not a whole number from 1 to 10000`},
		with("breaker: {over: 5}"):       {`5:21: subscriptions[0].breaker.over: "5" has no unit: write 5s for seconds, or 5ms, 5m, 5h, 5d`},
		with("breaker: {wait: 2d}"):      {`5:21: subscriptions[0].breaker.wait: "2d" is not a duration from 1ms to 1d`},
		with("breaker: {scope: worker}"): {`5:22: subscriptions[0].breaker.scope: "worker" is none of process or group`},
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	all := mistakes()
	maps.Copy(all, flowMistakes())
	maps.Copy(all, provisionMistakes())
	maps.Copy(all, orderMistakes())
	for file, want := range all {
		var got []string
		for _, p := range lint("worker.yaml", []byte(file), env(nil)) {
			got = append(got, strings.TrimPrefix(p.String(), "worker.yaml:"))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s\nsays\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A file's mistakes are all told at once, in its order.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	_, problems := config.Parse("w.yaml", []byte("grup: billing\nsubscriptions:\n  - topic: a b\n    lease: 5\n    handler: {exec: x, mode: y}\n"), env(nil))
	if len(problems) != 4 {
		t.Errorf("%v", problems)
	}
	for i, p := range problems[1:] {
		if p.Line < problems[i].Line {
			t.Errorf("line %d comes after line %d", p.Line, problems[i].Line)
		}
	}
	if !errors.Is(problems, commandline.ErrUsage) || !strings.HasPrefix(problems.Error(), "4 mistakes:\n  w.yaml:1:1: ") {
		t.Errorf("%v", problems)
	}
}

// A warning is no mistake: there is a Config.
func TestWarningsComeWithAConfig(t *testing.T) {
	t.Parallel()
	c, problems := config.Parse("w", []byte(with("mode: seen-mark", "crashes: 3")), env(nil))
	if c == nil || len(problems) != 1 || !problems[0].Warning {
		t.Errorf("%v %v", c, problems)
	}
}

func TestProblemsAreJSON(t *testing.T) {
	t.Parallel()
	problems := lint("w.yaml", []byte(with("lease: 5")), env(nil))
	out, err := json.Marshal(problems)
	if want := `[{"file":"w.yaml","line":5,"column":12,"path":"subscriptions[0].lease","message":"\"5\" has no unit: write 5s for seconds, or 5ms, 5m, 5h, 5d"}]`; err != nil || string(out) != want {
		t.Errorf("%s %v", out, err)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "none.yaml: the file cannot be read: no such file or directory",
		dir:                             "the file cannot be read: is a directory",
	} {
		c, problems := config.Read(name, nil, env(nil))
		if c != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%s: %v, want %s", name, problems, want)
		}
	}
	file := filepath.Join(dir, "worker.yaml")
	if err := os.WriteFile(file, []byte(smallest), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, problems := config.Read(file, nil, env(nil)); c == nil || len(problems) > 0 {
		t.Errorf("%v", problems)
	}
}

// A file that is too long is not read to its end, which some do not have.
func TestLongFilesAreNotRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "long.yaml")
	if err := os.WriteFile(name, []byte(strings.Repeat("# x\n", 10<<18)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{name, "/dev/zero"} {
		before := cost(t)
		_, problems := config.Read(name, nil, env(nil))
		if took := cost(t).bytes - before.bytes; took > 8<<20 || len(problems) != 1 || problems[0].Message != "the file is longer than 1 MiB: is it the right one?" {
			t.Errorf("%s: %v, with %d bytes", name, problems, took)
		}
	}
}

// spent is what the process has used so far.
type spent struct {
	cpu   time.Duration
	bytes uint64
}

func cost(t *testing.T) spent {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return spent{time.Duration(u.Utime.Nano()), m.TotalAlloc}
}

// What is made to take long, or much memory, is refused soon, with few words.
func TestBombs(t *testing.T) {
	laughs := "x-a: &a {u: 1}\n"
	for c := 'b'; c <= 'z'; c++ {
		before := string(c - 1)
		laughs += "x-" + string(c) + ": &" + string(c) + " {u: [*" + strings.Repeat(before+", *", 9) + before + "]}\n"
	}
	var keys, pairs strings.Builder
	for i := range 90_000 {
		keys.WriteString("k" + strconv.Itoa(i) + ":,")
		pairs.WriteString("k" + strconv.Itoa(i) + ": v,\n")
	}
	for name, file := range map[string]string{
		"billion laughs":  laughs + "nats: *z\n",
		"aliases":         "x-a: &a {topic: a}\nsubscriptions: [" + strings.Repeat("*a,", 50_000) + "]",
		"few aliases":     "x-a: &a {handler: &h {exec: &e a}}\nsubscriptions: [" + strings.Repeat("*a,", 900) + "]",
		"keys":            "{" + keys.String() + "}",
		"repeated keys":   "x-a: &a {" + pairs.String() + "}\nsubscriptions: [" + strings.Repeat("{handler: {http: {headers: *a}}},", 9) + "]",
		"entries":         "subscriptions: [" + strings.Repeat("a,", 50_000) + "]",
		"many topics":     "group: g\nsubscriptions: [" + strings.Repeat("{topic: a},", 1000) + "]",
		"deep":            strings.Repeat("[", 1<<20),
		"deep mappings":   "nats: " + strings.Repeat("{tls: ", 9000) + strings.Repeat("}", 9000),
		"long":            strings.Repeat("x", 10<<20),
		"long value":      "group: " + strings.Repeat("${A}", 200_000),
		"many variables":  "group: \"" + strings.Repeat("${A:}", 100_000) + "\"",
		"long topic":      "subscriptions: [{topic: " + strings.Repeat("*.", 500_000) + "}]",
		"long duration":   "drain: " + strings.Repeat("1s", 400_000),
		"long wrong name": strings.Repeat("x", 1000_000) + ": 1",
	} {
		data := []byte(file)
		before := cost(t)
		problems := lint("worker.yaml", data, env(nil))
		took := cost(t)
		took.cpu -= before.cpu
		took.bytes -= before.bytes
		if len(problems) == 0 || len(problems) > 100 || len(problems.Error()) > 100_000 {
			t.Errorf("%s: %d problems, %d bytes", name, len(problems), len(problems.Error()))
		}
		if took.cpu > 30*time.Second || took.bytes > 400<<20 || len(file) > 5<<20 && took.bytes > 1<<20 {
			t.Errorf("%s takes %v and %d bytes", name, took.cpu, took.bytes)
		}
		if name == "repeated keys" && !strings.Contains(problems.Error(), "more than 100000 keys") {
			t.Errorf("%s: %.1000s", name, problems.Error())
		}
		t.Logf("%s: %v, %d KiB, %.100s", name, took.cpu, took.bytes>>10, problems[0])
	}
}
