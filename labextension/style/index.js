import './base.css';
import './gpu.css';
import './storage.css';
import './progress.css';
import './connect.css';
import './transfers.css';
import './dashboard.css';
import './doctor.css';
