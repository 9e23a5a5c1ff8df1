package http

import (
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

// secretOf is a secret whose key has n bytes, all of them c.
func secretOf(c byte, n int) string {
	return secretPrefix + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(c), n)))
}

func verifier(t testing.TB, secret string) *webhooks.Webhook {
	t.Helper()
	v, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// request is what a service got.
type request struct {
	header http.Header
	body   []byte
}

// recordRequests serves, and returns where and what arrives.
func recordRequests(t testing.TB) (endpoint string, got chan request) {
	t.Helper()
	got = make(chan request, 10)
	return serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Header, body}
	}), got
}

// TestSignatureIsVerifiedByTheStandardsLibrary: with the body and the headers that arrive, by each
// of the keys and by no other one.
func TestSignatureIsVerifiedByTheStandardsLibrary(t *testing.T) {
	t.Parallel()
	endpoint, got := recordRequests(t)
	old, next, other := secretOf('o', 24), secretOf('n', 64), secretOf('x', 32)
	file := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(file, []byte("\n "+next+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHTTP(t, endpoint, &Options{SigningSecrets: []string{old}, SigningSecretFiles: []string{file}})
	for name, data := range map[string]string{"text": `{"cents":5}`, "none": "", "binary": "\x00\xff.\r\n.", "long": strings.Repeat("0123456789", 100_000)} {
		e := handlertest.Placed()
		e.Data = []byte(data)
		if err := h.Handle(handlertest.Attempt(t, 1), e); err != nil {
			t.Fatal(err)
		}
		r := <-got
		for _, secret := range []string{old, next} {
			if err := verifier(t, secret).Verify(r.body, r.header); err != nil {
				t.Errorf("%s: %v, with %v", name, err, r.header)
			}
		}
		if verifier(t, other).Verify(r.body, r.header) == nil || verifier(t, old).Verify(append(r.body, ' '), r.header) == nil {
			t.Errorf("%s: another key, or another body, is taken", name)
		}
		for _, header := range []string{headerWebhookID, headerWebhookTimestamp} {
			r.header.Set(header, r.header.Get(header)+"1")
			if verifier(t, old).VerifyIgnoringTimestamp(r.body, r.header) == nil {
				t.Errorf("%s: another %s is taken", name, header)
			}
		}
	}
}

// TestSignedRequestHasTheFormOfTheStandard: one signature for each key in their order, and seconds.
func TestSignedRequestHasTheFormOfTheStandard(t *testing.T) {
	t.Parallel()
	endpoint, got := recordRequests(t)
	h := newHTTP(t, endpoint, &Options{SigningSecrets: []string{secretOf('a', 24), secretOf('b', 24), secretOf('c', 24)}})
	before := time.Now().Unix()
	if err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil {
		t.Fatal(err)
	}
	header := (<-got).header
	if form := regexp.MustCompile(`^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$`); !form.MatchString(header.Get(headerWebhookSignature)) {
		t.Errorf("signatures %q", header.Get(headerWebhookSignature))
	}
	if at, err := strconv.ParseInt(header.Get(headerWebhookTimestamp), 10, 64); err != nil || at < before || at > time.Now().Unix() {
		t.Errorf("timestamp %q", header.Get(headerWebhookTimestamp))
	}
	for _, one := range []string{headerWebhookID, headerWebhookTimestamp, headerWebhookSignature} {
		if len(header.Values(one)) != 1 {
			t.Errorf("%s: %q", one, header.Values(one))
		}
	}
}

// TestSignatureIsThatOfTheStandardsExample: the one in its specification and in its libraries.
func TestSignatureIsThatOfTheStandardsExample(t *testing.T) {
	t.Parallel()
	s := newSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	got := s.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestWebhookIDIsTheSameInEveryAttempt: a service knows by it what it has had; the time and the
// signature are those of each attempt.
func TestWebhookIDIsTheSameInEveryAttempt(t *testing.T) {
	t.Parallel()
	endpoint, got := recordRequests(t)
	h := newHTTP(t, endpoint, &Options{SigningSecrets: []string{secretOf('a', 24)}})
	ids := make(map[string]bool)
	for number := range 3 {
		if err := h.Handle(handlertest.Attempt(t, number+1), handlertest.Placed()); err != nil {
			t.Fatal(err)
		}
		ids[(<-got).header.Get(headerWebhookID)] = true
	}
	if len(ids) != 1 || !ids["0123456789abcdef"] {
		t.Errorf("ids %v", ids)
	}
	ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{IdempotencyKey: "a.b%c", Key: dedupe.Key{Topic: "t", Group: "g", ID: "i"}})
	if err := h.Handle(ctx, handlertest.Placed()); err != nil {
		t.Fatal(err)
	}
	if id := (<-got).header.Get(headerWebhookID); id != "a%2Eb%25c" {
		t.Errorf("an id with a dot is sent as %q", id)
	}
}

// TestUnsignedRequestHasNoHeadersOfWebhooks: not even those that an event brings, which would make
// a publisher's words look like those of whoever holds the secret.
func TestUnsignedRequestHasNoHeadersOfWebhooks(t *testing.T) {
	t.Parallel()
	endpoint, got := recordRequests(t)
	e := handlertest.Placed()
	e.Headers = map[string][]string{"Webhook-Id": {"1"}, "webhook-timestamp": {"2"}, "Webhook-Signature": {"v1,x"}}
	if err := newHTTP(t, endpoint, nil).Handle(handlertest.Attempt(t, 1), e); err != nil {
		t.Fatal(err)
	}
	for name := range (<-got).header {
		if strings.HasPrefix(name, "Webhook") {
			t.Errorf("%s is sent", name)
		}
	}
	for _, o := range []*Options{{Headers: http.Header{"Webhook-Id": {"1"}}}, {PassHeaders: []string{"webhook-signature"}}} {
		if _, err := New("g", endpoint, o); err == nil || !strings.Contains(err.Error(), "is set for each request: leave it out") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestSigningSecretsAreCheckedAndNotShown: what is wrong is said, and where, and nothing of it.
func TestSigningSecretsAreCheckedAndNotShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for want, o := range map[string]*Options{
		"SigningSecrets[1]: it is empty: make one":                      {SigningSecrets: []string{secretOf('a', 24), ""}},
		"SigningSecrets[0]: it does not begin with whsec_":              {SigningSecrets: []string{"hunter2"}},
		"SigningSecrets[0]: it begins with whsk_, as keys of asymm":     {SigningSecrets: []string{"whsk_hunter2"}},
		"SigningSecrets[0]: what follows whsec_ is not base64":          {SigningSecrets: []string{"whsec_hunter2"}},
		"SigningSecrets[0]: its key has 23 bytes: it must have 24 to":   {SigningSecrets: []string{secretOf('h', 23)}},
		"SigningSecrets[0]: its key has 65 bytes":                       {SigningSecrets: []string{secretOf('h', 65)}},
		"SigningSecrets[0]: what follows whsec_ is not base64 with":     {SigningSecrets: []string{secretOf('h', 24) + "\n"}},
		"no-such: no such file":                                         {SigningSecretFiles: []string{filepath.Join(dir, "no-such")}},
		filepath.Join(dir, "empty") + ": it is empty":                   {SigningSecretFiles: []string{file("empty", " \n")}},
		filepath.Join(dir, "two") + ": what follows whsec_ is not base": {SigningSecretFiles: []string{file("two", secretOf('h', 24)+"\n"+secretOf('h', 32))}},
		"has 5000 bytes: it must hold one secret and nothing else":      {SigningSecretFiles: []string{file("large", strings.Repeat("hunter2 ", 625))}},
		"Options has 11 signing secrets: there may be 10":               {SigningSecrets: slices.Repeat([]string{secretOf('h', 24)}, 11)},
	} {
		_, err := New("g", "http://host", o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "aGho") {
			t.Errorf("%v shows a secret", err)
		}
	}
}

// TestSigningSecretsAreNotShownByAnswers: a service that has the secret, and repeats it.
func TestSigningSecretsAreNotShownByAnswers(t *testing.T) {
	t.Parallel()
	secret := secretOf('h', 32)
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, secret+" "+strings.TrimPrefix(secret, secretPrefix))
	})
	err := newHTTP(t, endpoint, &Options{SigningSecrets: []string{secret}}).Handle(handlertest.Attempt(t, 1), handlertest.Placed())
	if err == nil || !strings.HasSuffix(err.Error(), ": *** ***") {
		t.Errorf("%v", err)
	}
}

// FuzzWebhookID: ids can be told apart as well as what they stand for, are no other header, and
// have no dot.
func FuzzWebhookID(f *testing.F) {
	f.Add("a.b", "a%2Eb")
	f.Add("\x00\xff\r\n", " ")
	form := regexp.MustCompile(`^[A-Za-z0-9_%-]*$`)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := webhookID(a), webhookID(b)
		if !form.MatchString(x) || (x == y) != (a == b) {
			t.Errorf("%q is %q, %q is %q", a, x, b, y)
		}
	})
}

// FuzzSignature: what is signed is verified, whatever it is.
func FuzzSignature(f *testing.F) {
	f.Add("id.1", []byte("0123456789abcdef01234567"), []byte("body"))
	f.Fuzz(func(t *testing.T, id string, key, body []byte) {
		secret := secretPrefix + base64.StdEncoding.EncodeToString(key)
		if err := CheckSecret(secret); (err == nil) != (len(key) >= minKeyBytes && len(key) <= maxKeyBytes) {
			t.Fatalf("a key of %d bytes: %v", len(key), err)
		} else if err != nil || id == "" {
			return
		}
		w := headerWriter{header: make(http.Header)}
		newSigner([]string{secret}).setSignature(&w, id, time.Now(), body)
		if err := verifier(t, secret).Verify(body, w.header); err != nil {
			t.Error(err)
		}
	})
}

// FuzzCheckSecret: what is wrong with a secret shows nothing of it.
func FuzzCheckSecret(f *testing.F) {
	f.Add("", "")
	f.Add("whsec_", "=")
	f.Add("whsk_", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		if err := CheckSecret(before + "hunter2" + after); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	})
}
