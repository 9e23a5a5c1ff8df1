package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/internal/testing/otlptest"
)

// watched are paths of the worker's listener that are asked for beside those of its API's
// description.
var watched = []string{"/livez", "/readyz", "/readyz?verbose", "/openapi.json", "/metrics", "/", "/nothing?token=x"}

// secretive is a worker whose configuration has a canary in every key, with all kinds of handlers,
// and servers that fail in many ways.
type secretive struct {
	*house
	*canaries

	nats, mongo *proxy.Proxy
	admin       string // address
	metrics     string // address
	token       string
	otlp        *otlptest.Receiver
}

// TestNoSecretIsShown: neither logs nor answers, errors, or what commands print, have anything of
// what the configuration keeps secret, whatever fails.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := &secretive{house: h, canaries: newCanaries(h), admin: freeAddress(t), metrics: freeAddress(t), otlp: otlptest.Start(t)}
	name := s.writeConfig()
	h.env = append(h.env, "CANARY_OF_ENVIRONMENT="+s.text("the environment"), "OTEL_EXPORTER_OTLP_ENDPOINT="+s.otlp.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=api-key="+s.text("OTLP's headers"), "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=100")
	w := h.start("run", "-c", name)
	w.says(`msg="admin API"`)
	awaitAdminOf(t, s, http.StatusOK)
	s.publishAll()
	for _, said := range []string{"event dead-lettered", "the receiver is unavailable", "endpoint is gone for good", "certificate", "handler failed; event will be retried"} {
		w.says(said)
	}
	s.askAll("while all is well")
	s.runCommands(name)
	s.otlp.Answer(http.StatusForbidden)
	w.says("spans could not be sent")
	w.says("metrics could not be sent")
	s.nats.Refuse(true)
	s.nats.Cut()
	s.mongo.Refuse(true)
	s.mongo.Cut()
	awaitAdminOf(t, s, http.StatusServiceUnavailable)
	s.askAll("while its servers are down")
	s.runCommands(name)
	s.nats.Refuse(false)
	s.mongo.Refuse(false)
	s.otlp.Answer(http.StatusOK)
	awaitAdminOf(t, s, http.StatusOK)
	w.signal(syscall.SIGTERM)
	<-w.ended
	sent, metrics := s.otlp.Sent()
	if len(s.otlp.Spans()) == 0 || metrics == 0 {
		t.Errorf("%d spans were sent, and %d times metrics", len(s.otlp.Spans()), metrics)
	}
	s.absent("what was sent by OTLP", sent)
	s.refuseStarts()
	log, err := os.ReadFile(w.stderr)
	check(t, err)
	s.absent("the log", string(log))
	handed, err := os.ReadFile(h.path("environment"))
	check(t, err)
	if !strings.Contains(string(handed), "CANARY_OF_ENVIRONMENT=") {
		t.Errorf("the command has run in another environment: %s", handed)
	}
	s.absent("the environment of a command", strings.ReplaceAll(string(handed), "CANARY_OF_ENVIRONMENT=canary", ""))
	s.complete()
}

// writeConfig starts the servers, and writes the file that names them.
func (s *secretive) writeConfig() string {
	t := s.house.t
	own := newPair(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(own.certificate)
	login := s.login("nats.url")
	_, password, _ := strings.Cut(login, ":")
	nats := natstest.Start(t, func(o *server.Options) {
		o.Username, o.Password = "worker", password
		o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{own.pair(t)}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	})
	s.nats, s.mongo = newProxy(t, nats.Addr()), newProxy(t, hostOf(t, mongotest.URI(t)))
	certificate, key := s.path("cert.pem"), s.file("nats.tls.key", string(own.key))
	check(t, os.WriteFile(certificate, own.certificate, 0o600))
	s.token = s.text("admin.token")
	s.env = append(s.env, "NATS_URL=nats://"+login+"@"+s.nats.Addr(), "NATS_CA="+certificate, "NATS_CERT="+certificate, "NATS_KEY="+key,
		fmt.Sprintf("MONGODB_URI=mongodb://%s/%s?directConnection=true&serverSelectionTimeoutMS=2000&appName=%s", s.mongo.Addr(), mongotest.Database(t).Name(), s.text("mongo.uri")),
		adminTokenVariable+"="+s.text("admin.token"))
	text := fmt.Sprintf(`
group: secretive
log: {level: debug}
nats: {provision: true}
admin: {address: '%s', token: %s}
metrics: '%s'
outbox: {}
subscriptions:
  - {topic: t.exec, attempts: 1, handler: {exec: 'env > environment; exit 1'}}
  - {topic: t.stream, attempts: 1, handler: {exec: {command: 'exit 1', mode: stream}}}
  - {topic: t.publish, attempts: 1, handler: {publish: t.log}}
  - {topic: t.outbox, handler: {publish: {topic: t.log, outbox: true}}}
  - {topic: t.log, handler: {log: {level: debug, data: true}}}
`, s.admin, s.token, s.metrics)
	endpoints := s.endpoints()
	for topic, endpoint := range endpoints {
		handler := s.httpHandler("subscriptions[].", topic, endpoint, certificate, string(own.key))
		text += fmt.Sprintf("  - {topic: %s, attempts: 2, backoff: {base: 10ms, max: 10ms}, handler: %s}\n", topic, handler)
	}
	summaries := s.httpHandler("subscriptions[].defer.", "t.deferred", endpoints["t.fails"], certificate, string(own.key))
	text += fmt.Sprintf("  - {topic: t.deferred, handler: {exec: 'true'}, defer: {limit: 1, per: 1h, by: topic, interval: 100ms, attempts: 2, handler: %s}}\n", summaries)
	name := s.path("worker.yaml")
	check(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// httpHandler is a handler that posts to an endpoint, which is told all secrets that there may be;
// of is what it belongs to.
func (s *secretive) httpHandler(of, topic, endpoint, certificate, key string) string {
	at := of + "handler.http."
	u, err := url.Parse(endpoint)
	check(s.house.t, err)
	u.User = url.UserPassword("worker", strings.TrimPrefix(s.login(at+"url"), "worker:"))
	u.RawQuery = "token=" + s.text(at+"url")
	signing, file := s.text(at+"signing.secrets"), s.path("signing-"+topic)
	check(s.house.t, os.WriteFile(file, []byte("whsec_"+s.text(at+"signing.files")+"\n"), 0o600))
	return fmt.Sprintf("{http: {url: '%s', timeout: 2s, headers: {X-Api-Key: %s, X-Login: 'Bearer %s'}, tls: {certificate: %s, key: %s}, signing: {secrets: [whsec_%s], files: [%s]}}}",
		u, s.text(at+"headers"), s.text(at+"headers"), certificate, s.file(at+"tls.key", key), signing, file)
}

// endpoints are services that fail, by the topics of their events.
func (s *secretive) endpoints() map[string]string {
	t := s.house.t
	fails := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://"+r.Host+r.URL.String())
			w.WriteHeader(status)
			_, _ = fmt.Fprintln(w, r.URL, r.Header) // it repeats what it was told
		}
	}
	start := func(server *httptest.Server) string {
		t.Cleanup(server.Close)
		return server.URL
	}
	quiet := httptest.NewUnstartedServer(fails(http.StatusOK))
	quiet.Config.ErrorLog = nil
	quiet.StartTLS()
	return map[string]string{
		"t.fails": start(httptest.NewServer(fails(http.StatusInternalServerError))), "t.refuses": start(httptest.NewServer(fails(http.StatusUnauthorized))),
		"t.moved": start(httptest.NewServer(fails(http.StatusFound))), "t.gone": start(httptest.NewServer(fails(http.StatusGone))),
		"t.permanent": start(httptest.NewServer(fails(http.StatusUnprocessableEntity))), "t.untrusted": start(quiet), "t.closed": "http://" + freeAddress(t),
		"t.nowhere": "http://nowhere.invalid/",
	}
}

// publishAll publishes an event to each topic.
func (s *secretive) publishAll() {
	for _, topic := range []string{"exec", "stream", "publish", "outbox", "log", "fails", "refuses", "moved", "gone", "permanent", "untrusted", "closed", "nowhere"} {
		s.publish("t."+topic, event)
	}
	s.publish("t.deferred", `{"id":"1"}`+"\n"+`{"id":"2"}`+"\n"+`{"id":"3"}`)
}

// awaitAdminOf waits until /readyz has a status.
func awaitAdminOf(t *testing.T, s *secretive, want int) {
	t.Helper()
	for t.Context().Err() == nil {
		if status, _ := s.ask(http.MethodGet, "/readyz", ""); status == want {
			return
		}
	}
}

// ask sends a request with the token.
func (s *secretive) ask(method, path, body string) (status int, text string) {
	return s.askAt(s.admin, method, path, body)
}

func (s *secretive) askAt(address, method, path, body string) (status int, text string) {
	t := s.house.t
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		defer time.AfterFunc(streamFor, cancel).Stop()
	}
	var all bytes.Buffer
	check(t, resp.Header.Write(&all))
	if _, err := io.Copy(&all, resp.Body); err != nil {
		fmt.Fprint(&all, err)
	}
	return resp.StatusCode, all.String()
}

// streamFor is for how long a stream of events is read that does not end.
const streamFor = 3 * time.Second

// askAll asks for everything that the worker serves, all at once, and changes what can be changed.
func (s *secretive) askAll(when string) {
	for _, path := range []string{"/metrics", "/?token=x"} {
		status, text := s.askAt(s.metrics, http.MethodGet, path, "")
		if s.absent(when+" at the address of the metrics "+path, text); path == "/metrics" && (status != http.StatusOK || !strings.Contains(text, "onceish_")) {
			s.house.t.Errorf("%s the metrics are: %d %s", when, status, text)
		}
	}
	_, description := s.ask(http.MethodGet, "/openapi.json", "")
	paths := watched
	for _, part := range strings.Split(description, `"/`)[1:] {
		path, _, _ := strings.Cut(part, `"`)
		path = "/" + strings.NewReplacer("{group}", "secretive", "{id}", "1").Replace(path)
		paths = append(slices.Clip(paths), path, path+"?topic=t.fails&id=1&payload=1")
	}
	if len(paths) < 30 {
		s.house.t.Fatalf("%s: only %d paths: %s", when, len(paths), description)
	}
	var asking sync.WaitGroup
	limit := make(chan struct{}, 16)
	for _, path := range paths {
		for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: `{"reason":"r","filter":{"topic":"none"}}`, http.MethodDelete: `{}`} {
			asking.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				_, text := s.ask(method, path, body)
				s.absent(fmt.Sprintf("%s %s %s", when, method, path), text)
			})
		}
	}
	asking.Wait()
}

// runCommands runs what people look at a worker with.
func (s *secretive) runCommands(file string) {
	var running sync.WaitGroup
	limit := make(chan struct{}, 4)
	for _, line := range []string{
		"lint " + file, "lint -o json " + file, "schema", "size -c " + file, "provision --dry-run -c " + file, "provision --dry-run -o json -c " + file, "run --help", "admin --help",
		"groups list", "status secretive -o json", "members secretive", "lag secretive", "explain t.fails secretive 1", "explain t.fails secretive 1 -o json -c " + file,
		"dlq list secretive", "dlq show secretive 1", "outbox list", "export t.>", "tail t.> --until-empty", "replay t.fails --to-group secretive --dry-run", "bench --events 0",
		"publish t.fails nowhere", "pause nobody --reason r",
	} {
		running.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			s.absent("worker "+line, s.output("worker", strings.Fields(line)...))
		})
	}
	running.Wait()
}

// output is what a command writes, whatever it exits with.
func (s *secretive) output(name string, args ...string) string {
	ctx, cancel := context.WithTimeout(s.house.t.Context(), time.Minute)
	defer cancel()
	cmd := osexec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	return fmt.Sprintf("%s\n%v", out, err)
}

// refuseStarts starts workers that are not let in, or have broken files.
func (s *secretive) refuseStarts() {
	const run = "group: g\nsubscriptions: [{topic: t, handler: %s}]\n"
	signed := func(signing string) string {
		return fmt.Sprintf(run, "{http: {url: 'https://h', signing: {"+signing+"}}}")
	}
	base := fmt.Sprintf(run, "{exec: 'true'}")
	at := s.nats.Addr()
	var starting sync.WaitGroup
	limit := make(chan struct{}, 4)
	for name, text := range map[string]string{
		"password":      "nats: {url: 'nats://worker:" + s.text("nats.url") + "@" + at + "'}\n" + base,
		"token":         "nats: {url: 'nats://" + s.text("nats.url") + "@" + at + "'}\n" + base,
		"plain":         "nats: {url: 'nats://worker:" + s.text("nats.url") + "@0.0.0.0:" + at[strings.LastIndexByte(at, ':')+1:] + "'}\nstrict: true\n" + base,
		"port":          "nats: {url: 'nats://worker:" + s.text("nats.url") + "@h:x'}\n" + base,
		"credentials":   "nats: {url: nats://" + at + ", credentials: " + s.file("nats.credentials", "") + "}\n" + base,
		"half a file":   "nats: {url: nats://" + at + ", credentials: " + s.file("nats.credentials", "-----BEGIN NATS USER JWT-----\n-----BEGIN USER NKEY SEED-----\nSU"+s.text("nats.credentials")) + "}\n" + base,
		"nkey":          "nats: {url: nats://" + at + ", nkey: " + s.file("nats.nkey", "SU"+s.text("nats.nkey")) + "}\n" + base,
		"key":           "nats: {url: nats://" + at + ", tls: {certificate: cert.pem, key: " + s.file("nats.tls.key", "-----BEGIN PRIVATE KEY-----\n"+s.text("nats.tls.key")+"\n-----END PRIVATE KEY-----\n") + "}}\n" + base,
		"MongoDB":       "mongo: {uri: 'mongodb://worker:" + s.text("mongo.uri") + "@" + s.mongo.Addr() + "/db?directConnection=true&serverSelectionTimeoutMS=500'}\n" + base,
		"no MongoDB":    "mongo: {uri: 'mongodb://worker:" + s.text("mongo.uri") + "@127.0.0.1:1/db?serverSelectionTimeoutMS=50'}\n" + base,
		"its options":   "mongo: {uri: 'mongodb://worker:" + s.text("mongo.uri") + "@h/db?authMechanism=" + s.text("mongo.uri") + "'}\n" + base,
		"its scheme":    "mongo: {uri: 'worker:" + s.text("mongo.uri") + "@h/db'}\n" + base,
		"API token":     "admin: {token: '" + s.text("admin.token") + " and more'}\n" + base,
		"token file":    "admin: {token_file: " + s.file("admin.token_file", "two lines") + "}\n" + base,
		"API key":       "admin: {tls: {certificate: cert.pem, key: " + s.file("admin.tls.key", "") + "}}\n" + base,
		"secret":        signed("secrets: [" + s.text("subscriptions[].handler.http.signing.secrets") + "]"),
		"another":       signed("secrets: ['whsec_" + s.text("subscriptions[].handler.http.signing.secrets") + "!']"),
		"file":          signed("files: [" + s.file("subscriptions[].handler.http.signing.files", "") + "]"),
		"header":        fmt.Sprintf(run, `{http: {url: 'https://h', headers: {X-Key: "`+s.text("subscriptions[].handler.http.headers")+`\n"}}}`),
		"URL":           fmt.Sprintf(run, "{http: {url: 'ftp://worker:"+s.text("subscriptions[].handler.http.url")+"@h'}}"),
		"client's key":  fmt.Sprintf(run, "{http: {url: 'https://h', tls: {certificate: cert.pem, key: "+s.file("subscriptions[].handler.http.tls.key", "")+"}}}"),
		"unknown topic": "nats: {provision: false}\n" + base,
	} {
		file := s.path("broken " + name + ".yaml")
		check(s.house.t, os.WriteFile(file, []byte(text), 0o600))
		for _, command := range []string{"lint", "run --until-empty -c"} {
			starting.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				out := s.without("NATS_URL", "MONGODB_URI", "NATS_KEY", "NATS_CERT", adminTokenVariable).output("worker", append(strings.Fields(command), file)...)
				s.absent(name+": worker "+command, out)
				if strings.HasPrefix(command, "run") && strings.HasSuffix(out, "<nil>") && name != "unknown topic" {
					s.house.t.Errorf("%s: it was started: %s", name, out)
				}
			})
		}
	}
	starting.Wait()
}

// without has an environment that lacks variables, so that the file is what counts.
func (s *secretive) without(names ...string) *secretive {
	other := *s
	house := *s.house
	other.house = &house
	house.env = nil
	for _, v := range s.env {
		if name, _, _ := strings.Cut(v, "="); !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
			house.env = append(house.env, v)
		}
	}
	return &other
}

func newProxy(t *testing.T, to string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(to)
	check(t, err)
	t.Cleanup(p.Close)
	return p
}

func hostOf(t *testing.T, uri string) string {
	t.Helper()
	u, err := url.Parse(uri)
	check(t, err)
	return u.Host
}

// pemPair is a certificate that signs itself, and its key.
type pemPair struct{ certificate, key []byte }

func newPair(t *testing.T) *pemPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	return &pemPair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

func (p *pemPair) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.certificate, p.key)
	check(t, err)
	return pair
}
