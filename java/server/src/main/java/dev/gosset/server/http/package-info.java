/** What the server needs of HTTP, and the JDK's own server as the one that does it. Nothing else here knows which that is. */
package dev.gosset.server.http;
