package http

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// newRequest is a POST of the data.
func (h *Handler) newRequest(ctx context.Context, header http.Header, data []byte) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: h.endpoint, Host: h.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if len(data) > 0 {
		body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		r.Body, _ = body()
		r.GetBody = body // for what was never sent, because the connection was closed before
		r.ContentLength = int64(len(data))
	}
	return r.WithContext(ctx)
}
