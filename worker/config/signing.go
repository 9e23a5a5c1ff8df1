package config

import (
	"errors"

	httphandler "github.com/onceish/onceish/worker/handlers/http"
)

// signingSecretsField is a list of secrets of Standard Webhooks. Nothing shows them, nor do the
// errors of what is wrong with them.
func signingSecretsField[S any](name string, at func(*S) *[]string) *textList[S] {
	return &textList[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "list of text", expected: "a secret such as whsec_…", meaning: "secrets, such as ${WEBHOOK_SECRET}: whsec_ and 24 to 64 bytes in base64; never shown",
			scalarList: true, secret: true, yamlTags: []string{"!!str"},
			jsonShape: map[string]any{"type": "string", "pattern": "^whsec_[A-Za-z0-9+/]{32,88}={0,2}$"}, valid: httphandler.CheckSecret,
		},
		at: at,
	}
}

// secretFilesField is a list of names of files with secrets.
func secretFilesField[S any](name, meaning string, at func(*S) *[]string) *textList[S] {
	return &textList[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "list of files", expected: "a file", meaning: meaning, scalarList: true, secretFile: true, yamlTags: []string{"!!str"},
			jsonShape: map[string]any{"type": "string", "minLength": 1},
			valid: func(s string) error {
				if s == "" {
					return errors.New("it is empty: it must be the name of a file")
				}
				return nil
			},
		},
		at: at,
	}
}
