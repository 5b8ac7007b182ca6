import './base.css';
import './gpu.css';
import './storage.css';
import './progress.css';
