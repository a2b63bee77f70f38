"""Stub."""
import os, http.server, urllib.parse
u = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"portal")
http.server.HTTPServer((u.hostname, u.port), H).serve_forever()
