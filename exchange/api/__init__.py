"""Answer clients: REST, WebSocket connections and the WS-API."""
