package config

import (
	"regexp"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

const defaultBucket = "onceish-dedupe"

func natsKeys() []key[NATS] {
	return []key[NATS]{
		text("url", "a URL such as nats://localhost:4222", func(n *NATS) *string { return &n.URL }, validServers).
			discreet().secret().on("nats", "URL").in("NATS_URL").
			doc("NATS server, or several separated by commas; without one, the worker command runs its own").
			unserved("NATS server, or several separated by commas; required"),
		text("credentials", "a file", func(n *NATS) *string { return &n.Credentials }, nil).
			on("nats-creds", "FILE").in("NATS_CREDS").doc("file with the credentials of a NATS user"),
		text("nkey", "a file", func(n *NATS) *string { return &n.NKey }, nil).
			on("nats-nkey", "FILE").in("NATS_NKEY").doc("file with the seed of a NATS user that has an nkey and no credentials"),
		under("tls", "files in PEM for TLS with NATS", func(n *NATS) *TLS { return &n.TLS }, tlsKeys("nats")...),
		formed("inbox_prefix", "a subject such as _INBOX_billing", func(n *NATS) *string { return &n.InboxPrefix }, prefixForm).otherwise("_INBOX").
			on("nats-inbox-prefix", "SUBJECT").in("NATS_INBOX_PREFIX").doc("what the subjects of answers begin with, where users may not hear each other's"),
		formed("domain", "the name of a JetStream domain, which has no spaces, dots, '*', '>', '/' or '\\'", func(n *NATS) *string { return &n.Domain }, nameForm).otherwise("the server's").
			on("nats-domain", "DOMAIN").doc("JetStream domain to work in, such as that of a leaf node"),
		formed("api_prefix", "a subject such as $JS.hub.API", func(n *NATS) *string { return &n.APIPrefix }, prefixForm).otherwise("$JS.API").
			on("nats-api-prefix", "SUBJECT").doc("prefix under which another account's JetStream is imported"),
		formed("stream", "the name of a stream, which has no spaces, dots, '*', '>', '/' or '\\'", func(n *NATS) *string { return &n.Stream }, nameForm).otherwise("all are asked").
			on("nats-stream", "STREAM").doc("stream in which topics are looked for first: it decides where several match, needs no permission to list streams, and is the way to a mirror"),
		yesNo("envelopes", func(n *NATS) *bool { return &n.Envelopes }).
			on("nats-envelopes", "").doc("read JSON with specversion, id, source and type as a CloudEvent also where no header says so; decide before a group begins: it changes identities"),
		count("max_unsettled", func(n *NATS) *int { return &n.MaxUnsettled }, consumer.Limit[int]{Min: 1, Max: 1_000_000}).byDefault(bus.DefaultMaxUnsettled).
			on("nats-max-unsettled", "N").doc("how many deliveries of a group may be in flight at once, in all its processes"),
		formed("bucket", "the name of a bucket, which has letters, digits, '-' and '_'", func(n *NATS) *string { return &n.Bucket }, bucketForm).byDefault(defaultBucket).
			on("nats-bucket", "BUCKET").doc("key-value bucket that remembers what was handled where no MongoDB does"),
		count("replicas", func(n *NATS) *int { return &n.Replicas }, consumer.Limit[int]{Min: 1, Max: 5}).
			otherwise("1, and for the bucket as many as the streams have").
			on("nats-replicas", "N").doc("replicas of streams and of the bucket that the worker makes; those that are there keep theirs"),
		yesNo("provision", func(n *NATS) *bool { return &n.Provision }).
			on("provision", "").doc("make streams that are missing; on the worker's own server they always are").
			unserved("make streams that are missing"),
	}
}

// tlsKeys have flags and variables if these are to begin with something.
func tlsKeys(prefix string) []key[TLS] {
	ca := text("ca", "a file", func(t *TLS) *string { return &t.CA }, nil).otherwise("those of the machine").
		doc("file with the certificates of the authorities that are trusted")
	certificate := text("certificate", "a file", func(t *TLS) *string { return &t.Certificate }, nil).
		doc("file with the client's certificate; read again for each connection")
	secret := text("key", "a file", func(t *TLS) *string { return &t.Key }, nil).
		doc("file with the key of the client's certificate")
	if prefix != "" {
		variable := strings.ToUpper(prefix)
		ca.on(prefix+"-ca", "FILE").in(variable + "_CA")
		certificate.on(prefix+"-cert", "FILE").in(variable + "_CERT")
		secret.on(prefix+"-key", "FILE").in(variable + "_KEY")
	}
	return []key[TLS]{ca, certificate, secret}
}

// checkNATS refuses ways to a server that exclude each other, and warns of those to a server that
// is the worker's own.
func (c *Config) checkNATS(r *reader) {
	n := &c.NATS
	r.exclusive("nats.credentials", "nats.nkey", n.Credentials, n.NKey)
	r.exclusive("nats.domain", "nats.api_prefix", n.Domain, n.APIPrefix)
	n.TLS.check(r, "nats.tls")
	if n.URL != "" || r.bad["nats.url"] {
		return
	}
	for _, at := range []string{"nkey", "tls.ca", "tls.certificate", "tls.key", "inbox_prefix", "domain", "api_prefix"} {
		if at = join("nats", at); r.given[at].label == "" && r.has(at) {
			r.warn(at, "it has no effect without nats.url: the worker's own server needs none of it")
		}
	}
}

// check refuses a certificate without its key, and a key without its certificate.
func (t *TLS) check(r *reader, at string) {
	for _, half := range []struct{ there, value, missing, other string }{
		{"certificate", t.Certificate, "key", t.Key}, {"key", t.Key, "certificate", t.Certificate},
	} {
		if half.value != "" && half.other == "" {
			r.mistake(join(at, half.there), "a client needs both: name the %s as well, in %s", half.missing, join(at, half.missing))
		}
	}
}

// Forms of values, for JSON Schema too.
var (
	prefixForm    = regexp.MustCompile(`^[^\x00-\x20\x7f.*>]+(\.[^\x00-\x20\x7f.*>]+)*$`)
	nameForm      = regexp.MustCompile(`^[^\x00-\x20\x7f.*>/\\]+$`)
	bucketForm    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,200}$`)
	namespaceForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,50}$`)
)
