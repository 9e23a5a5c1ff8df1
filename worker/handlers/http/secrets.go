package http

import (
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/onceish/onceish/dedupe"
)

// secretRedactor are what must not be shown, whoever says it: services repeat in their answers what
// they were sent.
type secretRedactor struct{ hidden *strings.Replacer }

// minSecretLength is the length from which a secret is looked for in what others say. Shorter ones
// would be found in every word.
const minSecretLength = 4

// newRedactorFor are a URL's user, password, path (some services have their secrets there) and
// query, the values of configured headers, and signing secrets, with and without their prefix.
func newRedactorFor(u *url.URL, headers http.Header, signing []string) *secretRedactor {
	found := []string{u.RawQuery, strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.EscapedPath(), "/")}
	for name, values := range u.Query() {
		found = append(found, values...)
		if values[0] == "" {
			found = append(found, name) // "?secret"
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		name := u.User.Username()
		found = append(found, u.User.String(), name, password, base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
	}
	for name, values := range headers {
		if name == "User-Agent" || name == "Content-Type" {
			continue // what everybody may know, and services talk about
		}
		for _, v := range values {
			found = append(found, v)
			if words := strings.Fields(v); len(words) > 1 {
				found = append(found, words[1:]...) // the token of "Bearer token"
			}
		}
	}
	for _, secret := range signing {
		found = append(found, secret, strings.TrimPrefix(secret, secretPrefix))
	}
	return newRedactor(found)
}

func newRedactor(found []string) *secretRedactor {
	for _, s := range slices.Clone(found) { // as others write it
		found = append(found, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s), strings.Trim(strconv.Quote(s), `"`))
	}
	found = slices.DeleteFunc(found, func(s string) bool { return len(s) < minSecretLength })
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) }) // of those that begin alike, the longest
	var pairs []string
	for _, s := range found {
		pairs = append(pairs, s, "***")
	}
	return &secretRedactor{hidden: strings.NewReplacer(pairs...)}
}

// cleanText is text of somebody else as it may be shown, in at most n bytes: without secrets, on
// one line, nothing in it but what can be seen.
func (s *secretRedactor) cleanText(text string, n int) string {
	text = s.hidden.Replace(text)
	text = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return dedupe.TrimReason(strings.Join(strings.Fields(text), " "), n)
}

// cleanError returns err, or one that can be shown in its place.
func (s *secretRedactor) cleanError(err error) error {
	text := err.Error()
	if shown := s.cleanText(text, maxShownBytes); shown != text {
		return errors.New(shown)
	}
	return err
}
