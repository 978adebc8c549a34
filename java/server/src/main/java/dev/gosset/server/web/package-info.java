/** The chat in a browser: a page that asks the server as any other client does, and loads nothing from elsewhere. */
package dev.gosset.server.web;
