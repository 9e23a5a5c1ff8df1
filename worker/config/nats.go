package config

import (
	"regexp"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

const defaultBucket = "onceish-dedupe"

func natsKeys() []field[NATS] {
	return []field[NATS]{
		textField("url", "a URL such as nats://localhost:4222", func(n *NATS) *string { return &n.URL }, CheckServers).
			markSecret().withFlag("nats", "URL").fromEnv("NATS_URL").
			describedAs("NATS server, or several separated by commas; without one, the worker command runs its own").
			describedWithoutServer("NATS server, or several separated by commas; required"),
		textField("credentials", "a file", func(n *NATS) *string { return &n.Credentials }, nil).markSecretFile().
			withFlag("nats-creds", "FILE").fromEnv("NATS_CREDS").describedAs("file with the credentials of a NATS user"),
		textField("nkey", "a file", func(n *NATS) *string { return &n.NKey }, nil).markSecretFile().
			withFlag("nats-nkey", "FILE").fromEnv("NATS_NKEY").describedAs("file with the seed of a NATS user that has an nkey and no credentials"),
		objectField("tls", "files in PEM for TLS with NATS", func(n *NATS) *TLS { return &n.TLS }, tlsKeys("nats")...),
		patternField("inbox_prefix", "a subject such as _INBOX_billing", func(n *NATS) *string { return &n.InboxPrefix }, prefixForm).withDefaultText("_INBOX").
			withFlag("nats-inbox-prefix", "SUBJECT").fromEnv("NATS_INBOX_PREFIX").describedAs("what the subjects of answers begin with, where users may not hear each other's"),
		patternField("domain", "the name of a JetStream domain, which has no spaces, dots, '*', '>', '/' or '\\'", func(n *NATS) *string { return &n.Domain }, nameForm).withDefaultText("the server's").
			withFlag("nats-domain", "DOMAIN").describedAs("JetStream domain to work in, such as that of a leaf node"),
		patternField("api_prefix", "a subject such as $JS.hub.API", func(n *NATS) *string { return &n.APIPrefix }, prefixForm).withDefaultText("$JS.API").
			withFlag("nats-api-prefix", "SUBJECT").describedAs("prefix under which another account's JetStream is imported"),
		patternField("stream", "the name of a stream, which has no spaces, dots, '*', '>', '/' or '\\'", func(n *NATS) *string { return &n.Stream }, nameForm).withDefaultText("all are asked").
			withFlag("nats-stream", "STREAM").describedAs("stream in which topics are looked for first: it decides where several match, needs no permission to list streams, and is the way to a mirror"),
		boolField("envelopes", func(n *NATS) *bool { return &n.Envelopes }).
			withFlag("nats-envelopes", "").describedAs("read JSON with specversion, id, source and type as a CloudEvent also where no header says so; decide before a group begins: it changes identities"),
		intField("max_unsettled", func(n *NATS) *int { return &n.MaxUnsettled }, consumer.Limit[int]{Min: 1, Max: 1_000_000}).withDefault(bus.DefaultMaxUnsettled).
			withFlag("nats-max-unsettled", "N").describedAs("how many deliveries of a group may be in flight at once, in all its processes"),
		patternField("bucket", "the name of a bucket, which has letters, digits, '-' and '_'", func(n *NATS) *string { return &n.Bucket }, bucketForm).withDefault(defaultBucket).
			withFlag("nats-bucket", "BUCKET").describedAs("key-value bucket that remembers what was handled where no MongoDB does"),
		intField("replicas", func(n *NATS) *int { return &n.Replicas }, consumer.Limit[int]{Min: 1, Max: 5}).
			withDefaultText("1, and for the bucket as many as the streams have").
			withFlag("nats-replicas", "N").describedAs("replicas of streams and of the bucket that the worker makes; those that are there keep theirs"),
		boolField("provision", func(n *NATS) *bool { return &n.Provision }).
			withFlag("provision", "").describedAs("make streams that are missing; on the worker's own server they always are").
			describedWithoutServer("make streams that are missing"),
	}
}

// tlsKeys have flags and variables if these are to begin with something.
func tlsKeys(prefix string) []field[TLS] {
	ca := textField("ca", "a file", func(t *TLS) *string { return &t.CA }, nil).withDefaultText("those of the machine").
		describedAs("file with the certificates of the authorities that are trusted")
	certificate := textField("certificate", "a file", func(t *TLS) *string { return &t.Certificate }, nil).
		describedAs("file with the client's certificate; read again for each connection")
	secret := textField("key", "a file", func(t *TLS) *string { return &t.Key }, nil).markSecretFile().
		describedAs("file with the key of the client's certificate")
	if prefix != "" {
		variable := strings.ToUpper(prefix)
		ca.withFlag(prefix+"-ca", "FILE").fromEnv(variable + "_CA")
		certificate.withFlag(prefix+"-cert", "FILE").fromEnv(variable + "_CERT")
		secret.withFlag(prefix+"-key", "FILE").fromEnv(variable + "_KEY")
	}
	return []field[TLS]{ca, certificate, secret}
}

// checkNATS refuses ways to a server that exclude each other, and warns of those to a server that
// is the worker's own.
func (c *Config) checkNATS(r *configReader) {
	n := &c.NATS
	r.rejectBoth("nats.credentials", "nats.nkey", n.Credentials, n.NKey)
	r.rejectBoth("nats.domain", "nats.api_prefix", n.Domain, n.APIPrefix)
	n.TLS.checkPair(r, "nats.tls")
	if n.URL != "" || r.hasMistake["nats.url"] {
		return
	}
	for _, at := range []string{"nkey", "tls.ca", "tls.certificate", "tls.key", "inbox_prefix", "domain", "api_prefix"} {
		if at = joinPath("nats", at); r.origins[at].label == "" && r.isGiven(at) {
			r.reportWarning(at, "it has no effect without nats.url: the worker's own server needs none of it")
		}
	}
}

// checkPair refuses a certificate without its key, and a key without its certificate.
func (t *TLS) checkPair(r *configReader, at string) {
	for _, half := range []struct{ there, value, missing, other string }{
		{"certificate", t.Certificate, "key", t.Key}, {"key", t.Key, "certificate", t.Certificate},
	} {
		if half.value != "" && half.other == "" {
			r.reportMistake(joinPath(at, half.there), "a client needs both: name the %s as well, in %s", half.missing, joinPath(at, half.missing))
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
