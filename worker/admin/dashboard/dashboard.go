package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var files embed.FS

var page = template.Must(template.ParseFS(files, "assets/page.html"))

// policy is the Content-Security-Policy of the page: its own files and its own API, no markup from
// text, and no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Options of New.
type Options struct {
	// ReadOnly leaves out what changes something.
	ReadOnly bool
	// Token makes the page ask for the token of the API.
	Token bool
	// Version of the program, which the page shows.
	Version string
}

// asset is a file that is served.
type asset struct {
	media, tag string
	body       []byte
}

// handler serves the page and its files.
type handler struct {
	assets map[string]asset // by path
}

// New returns what serves the page and its files, to requests for which Serves reports true.
func New(o *Options) http.Handler {
	h := &handler{assets: map[string]asset{}}
	entries, _ := files.ReadDir("assets") // it is embedded
	for _, e := range entries {
		body, _ := files.ReadFile("assets/" + e.Name()) // it is embedded
		if name := e.Name(); name != "page.html" {
			h.assets["/assets/"+name] = newAsset(mediaOf(name), body)
		}
	}
	var out bytes.Buffer
	_ = page.Execute(&out, o) // it writes to memory; a test looks at what it makes
	h.assets["/"] = newAsset("text/html; charset=utf-8", out.Bytes())
	return h
}

func newAsset(media string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{media: media, tag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
}

// mediaOf is the media type of a file, whatever the machine says of its ending.
func mediaOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// Serves reports whether a request is for the page or one of its files. The path is that below the
// prefix of the API.
func Serves(r *http.Request) bool {
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	return isRead && (r.URL.Path == "" || r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/assets/"))
}

// ServeHTTP implements http.Handler. Browsers keep files, and ask each time whether they are still
// the same.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := h.assets[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	for name, value := range map[string]string{
		"Content-Type": a.media, "ETag": a.tag, "Cache-Control": "no-cache", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		w.Header().Set(name, value)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
