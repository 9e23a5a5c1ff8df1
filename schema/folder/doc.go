// Package folder keeps schemas in a folder of files, such as one of a repository that is deployed
// with its consumers. Each version is a file, FOLDER/TOPIC/TYPE/NUMBER.json: a JSON object with the
// members topic, type, version, compatibility and schema, and maybe samples, forced and added.
//
//	store, err := folder.New("schemas", nil)
//
// # Delivery semantics
//
// A version is there as a whole or not at all. Of several processes that add one under one number,
// one succeeds, on file systems that have hard links. Files that people write or merge by hand are
// found like others; what is no version is an error with the name of its file.
package folder
