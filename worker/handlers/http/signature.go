package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/internal/percent"
)

// Headers of a signed request, as Standard Webhooks names them.
const (
	headerWebhookID        = "Webhook-Id"
	headerWebhookTimestamp = "Webhook-Timestamp"
	headerWebhookSignature = "Webhook-Signature"
)

const (
	// secretPrefix begins the secrets of Standard Webhooks; their keys are in base64 behind it.
	secretPrefix = "whsec_"
	// minKeyBytes and maxKeyBytes are the bounds of Standard Webhooks.
	minKeyBytes = 24
	maxKeyBytes = 64
	// maxSigningSecrets bounds the signatures of a request.
	maxSigningSecrets = 10
	// maxSecretFileBytes is far more than a secret has.
	maxSecretFileBytes = 4 << 10
)

// CheckSecret returns why New would refuse a signing secret. The error has nothing of it.
func CheckSecret(secret string) error {
	_, err := parseSecret(secret)
	return err
}

// parseSecret returns the key of a signing secret. Its errors have nothing of the secret.
func parseSecret(secret string) ([]byte, error) {
	const example = "make one with: echo \"whsec_$(openssl rand -base64 32)\""
	encoded, found := strings.CutPrefix(secret, secretPrefix)
	switch {
	case secret == "":
		return nil, errors.New("it is empty: " + example)
	case strings.HasPrefix(secret, "whsk_"):
		return nil, errors.New("it begins with whsk_, as keys of asymmetric signatures do, which are not supported: " + example)
	case !found:
		return nil, errors.New("it does not begin with " + secretPrefix + ": " + example)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil || strings.ContainsAny(encoded, "\r\n"):
		return nil, errors.New("what follows " + secretPrefix + " is not base64 with padding: copy it as it was given, or " + example)
	case len(key) < minKeyBytes || len(key) > maxKeyBytes:
		return nil, fmt.Errorf("its key has %d bytes: it must have %d to %d; %s", len(key), minKeyBytes, maxKeyBytes, example)
	}
	return key, nil
}

// readSecretFile returns the secret in a file, without the white space around it.
func readSecretFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Size() > maxSecretFileBytes {
		return "", fmt.Errorf("%s has %d bytes: it must hold one secret and nothing else", name, info.Size())
	}
	data, err := os.ReadFile(name) //nolint:gosec // the operator's own file
	return strings.TrimSpace(string(data)), err
}

// signingSecrets returns the secrets of the options, those in files behind the others.
func (o *Options) signingSecrets() ([]string, error) {
	secrets := append([]string(nil), o.SigningSecrets...)
	for i, secret := range secrets {
		if err := CheckSecret(secret); err != nil {
			return nil, fmt.Errorf("Options.SigningSecrets[%d]: %w", i, err)
		}
	}
	for _, name := range o.SigningSecretFiles {
		secret, err := readSecretFile(name)
		if err != nil {
			return nil, fmt.Errorf("Options.SigningSecretFiles: %w", err)
		}
		if err := CheckSecret(secret); err != nil {
			return nil, fmt.Errorf("Options.SigningSecretFiles: the secret in %s: %w", name, err)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) > maxSigningSecrets {
		return nil, fmt.Errorf("Options has %d signing secrets: there may be %d, for each adds a signature to every request", len(secrets), maxSigningSecrets)
	}
	return secrets, nil
}

// signer signs requests as Standard Webhooks has it, once with each key: so a service can change
// from one key to another while requests with either arrive.
type signer struct{ keys [][]byte }

// newSigner returns a signer for secrets that CheckSecret accepts; nil if there are none.
func newSigner(secrets []string) *signer {
	if len(secrets) == 0 {
		return nil
	}
	s := &signer{}
	for _, secret := range secrets {
		key, _ := parseSecret(secret) // it was checked
		s.keys = append(s.keys, key)
	}
	return s
}

// setSignature sets the headers of a request that is sent now.
func (s *signer) setSignature(w *headerWriter, idempotencyKey string, now time.Time, body []byte) {
	id, seconds := webhookID(idempotencyKey), strconv.FormatInt(now.Unix(), 10)
	w.setHeader(headerWebhookID, id)
	w.setHeader(headerWebhookTimestamp, seconds)
	w.setHeader(headerWebhookSignature, s.signatures(id, seconds, body))
}

// signatures are those of all keys, with a space between.
func (s *signer) signatures(id, seconds string, body []byte) string {
	const version = "v1,"
	signed := []byte(id + "." + seconds + ".")
	out := make([]byte, 0, len(s.keys)*(len(version)+base64.StdEncoding.EncodedLen(sha256.Size)+1))
	var sum [sha256.Size]byte
	for i, key := range s.keys {
		if i > 0 {
			out = append(out, ' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(signed)
		mac.Write(body)
		out = base64.StdEncoding.AppendEncode(append(out, version...), mac.Sum(sum[:0]))
	}
	return string(out)
}

// webhookID returns an id of a message for an idempotency key. It has no dot, which separates the
// parts of what is signed, and nothing that is not allowed in a header.
func webhookID(idempotencyKey string) string {
	return percent.Encode(idempotencyKey, func(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' })
}
